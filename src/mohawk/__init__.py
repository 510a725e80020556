"""Mohawk Inference Engine: one private model, served across machines its owner does not fully trust."""

__version__ = "0.1.0"
