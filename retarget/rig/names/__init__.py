"""What the names of morph targets mean, and what users say of them: maps of names and response curves."""
