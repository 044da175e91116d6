"""Strata's engine: closures, plans, layer bytes and image metadata.

The package knows nothing of any build tool. It is driven by JSON specifications through the
``strata`` command (``python -m strata``) or used as a library.
"""

__version__ = "0.1.0"
