"""glTF 2.0 files: reading, checking, building, merging and writing."""
