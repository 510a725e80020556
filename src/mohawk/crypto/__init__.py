"""Primitives with their reasons; the only room that imports `cryptography`."""
