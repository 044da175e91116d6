"""What people want to know of built images, from their reports (``image.json``)."""
