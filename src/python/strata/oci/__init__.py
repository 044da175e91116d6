"""Image metadata: config, manifest, index, and the files of an image layout. No layer is read."""
