"""The encoder libraries of layer processes, pinned by hash."""
