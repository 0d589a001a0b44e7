"""The commands that make training data and networks: annotate, fit, validate, test, export, quantize."""
