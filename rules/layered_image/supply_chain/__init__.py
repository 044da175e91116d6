"""What is told about an image, beside it."""
