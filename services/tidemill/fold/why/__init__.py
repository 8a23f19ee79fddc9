"""Why a prediction says what it says: found in the topics, or made again from the models."""
