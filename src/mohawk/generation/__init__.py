"""Requests as sequences of tokens: sessions, batches, text deltas. Pure."""
