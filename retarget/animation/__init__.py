"""A performance on a rig, written as an animated scene."""
