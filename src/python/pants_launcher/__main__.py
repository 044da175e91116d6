"""Runs the bootstrap when Python is given this folder, as ``python -I -S`` is by ``pants``."""

import os
import sys

# Python puts this folder itself on the path; the package is importable from the one above.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from pants_launcher.cli import main

sys.exit(main(sys.argv[1:]))
