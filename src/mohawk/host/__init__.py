"""This machine: its disk and its memory."""
