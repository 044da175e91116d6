"""Libraries that the engine's processes need, each in one build, pinned by hash."""
