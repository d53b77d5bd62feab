"""Writes the test vectors of the wire format; nothing here is shared with any implementation."""
