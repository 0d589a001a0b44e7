"""What a network gets to see: pictures of users, the scales and tiles at which they are read, and other views of them."""
