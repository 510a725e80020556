"""Holds one sealed slice, opens it into memory, computes."""
