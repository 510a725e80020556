"""Sockets: the pump around the channel."""
