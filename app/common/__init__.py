"""What all programs share: settings, logging and errors."""
