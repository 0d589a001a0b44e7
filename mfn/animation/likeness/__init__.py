"""Characters that look like the people of a picture: the form of the head, and the colors of skin, hair and eyes."""
