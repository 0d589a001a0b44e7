"""The losses that training minimizes, and the assignment of target faces to cells."""
