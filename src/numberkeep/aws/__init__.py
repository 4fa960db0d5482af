"""Speaks AWS: bytes in, bytes out. No sockets, no service logic."""
