"""Image statistics and thumbnails, on NumPy and Pillow."""
