"""Fields of targets, by what they are about."""
