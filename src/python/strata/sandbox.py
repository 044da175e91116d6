"""The ``__main__`` of a folder that holds the ``strata`` package, as build sandboxes have it.

Beside that folder, ``libraries/<tag>/`` may hold libraries for several interpreters (``cp311``,
``py3``): which Python runs a step must not change its inputs.
"""

import os
import sys

if sys.version_info < (3, 9):  # noqa: UP036 - said clearly, where a SyntaxError would be odd
    sys.exit(f"strata needs Python 3.9 or newer, and {sys.executable} is {sys.version.split()[0]}")
# By name: the folder may be a link to where sandboxes share it.
_ENGINE = os.path.dirname(os.path.abspath(__file__))
_SANDBOX = os.path.dirname(_ENGINE)
# An isolated Python (-I) looks for modules beside a folder that it runs, but not beside a file.
sys.path.insert(0, _ENGINE)
_TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
sys.path += [os.path.join(_SANDBOX, "libraries", tag) for tag in (_TAG, "py3")]

from strata.__main__ import main

sys.exit(main(sys.argv[1:]))
