"""From targets to layers, images and indexes."""
