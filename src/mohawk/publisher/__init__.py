"""Turns a model folder into sealed, signed slices."""
