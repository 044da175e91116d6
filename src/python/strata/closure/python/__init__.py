"""Python objects: wheels, first-party sources, bytecode and the application directory."""
