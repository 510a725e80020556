"""The `mohawk` command."""
