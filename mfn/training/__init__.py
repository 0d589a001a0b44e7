"""Losses, target assignment and the Lightning modules that train the networks."""
