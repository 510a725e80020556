"""Bytes in, events out: TLS 1.3 with a fixed profile, and frames. No sockets."""
