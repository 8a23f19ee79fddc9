"""Why a model said what it said: what each sensor contributed to one prediction."""
