"""Reading labelled pictures and composing training scenes from them."""
