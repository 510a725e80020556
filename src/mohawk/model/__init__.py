"""Tensors and layers; the only room that imports torch and transformers."""
