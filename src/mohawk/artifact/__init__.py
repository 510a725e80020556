"""What a sealed slice and its manifest are. Pure: bytes in, bytes out."""
