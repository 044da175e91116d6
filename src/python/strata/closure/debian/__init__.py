"""Debian packages: locks resolved by apt, mirrors of the machine, and package contents."""
