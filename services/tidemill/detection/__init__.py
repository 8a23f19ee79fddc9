"""Whether a plant is still as it was: changes in sensors, predictions, errors, explanations."""
