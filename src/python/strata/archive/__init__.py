"""Layer bytes: tar framing, compression and hashing in one pass."""
