"""What an image stands on: other images, archives, images of registries."""
