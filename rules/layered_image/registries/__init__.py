"""Where images go to and come from."""
