"""The joints of a character: which ones are head, neck, eyes and jaw, and how they move."""
