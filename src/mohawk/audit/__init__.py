"""The tamper-evident record of what happened. Pure."""
