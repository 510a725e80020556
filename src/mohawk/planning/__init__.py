"""Which layers go where. Pure."""
