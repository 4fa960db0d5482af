"""The AWS protocol: bytes in, bytes out. No sockets, no service logic."""
