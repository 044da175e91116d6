"""Programs run as root of a user namespace: id maps, mounts, recorded ownership, differences."""
