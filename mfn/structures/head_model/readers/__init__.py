"""Readers of other head models: the Basel Face Model, FLAME and ICT-FaceKit. Each returns the arguments of `HeadModel`."""
