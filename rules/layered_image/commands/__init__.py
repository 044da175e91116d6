"""Commands over an image: in a user's fields, and of Debian packages."""
