"""Training of the networks that take a crop of one face."""
