"""A performance in time (`Take`): files, streams and calibration."""
