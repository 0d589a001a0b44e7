"""What a stored glTF file needs before its arrays can be read: its other files, unpacking, and tolerance of usual mistakes."""
