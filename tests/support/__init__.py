"""Builders and helpers that several rooms' tests share; nothing here knows of pytest."""
