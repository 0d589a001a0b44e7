"""The tables that are written: columns, file formats, and the job whose parts they are written in."""
