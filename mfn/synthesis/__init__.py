"""Rendered heads and edited photos: training data with known labels, and the crowd of `mfn demo`."""
