"""The people of a photo or clip: which of them to animate, how they look, and characters that look like them."""
