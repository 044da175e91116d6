"""Where the launcher's inputs and its cache are."""

from __future__ import annotations

import os

# mypy and type checkers see the import; a warm start does not pay for it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Locations:
    """The paths that every part of the launcher uses, derived from the environment once."""

    def __init__(self, env: Mapping[str, str], package_dir: str) -> None:
        """``package_dir`` is the folder of this package inside the checkout."""
        self.source_root = os.path.dirname(package_dir)
        checkout = os.path.dirname(os.path.dirname(self.source_root))
        self.locks = os.path.join(checkout, "3rdparty", "python", "launcher")

        cache_home = env.get("XDG_CACHE_HOME", "")
        # The XDG specification has relative values ignored.
        if not os.path.isabs(cache_home):
            cache_home = os.path.join(home(env), ".cache")
        self.cache = os.path.join(cache_home, "strata", "launcher")
        self.selections = os.path.join(self.cache, "selections")
        self.environments = os.path.join(self.cache, "environments")
        self.tools = os.path.join(self.cache, "tools")
        self.pythons = os.path.join(self.cache, "python")
        self.lock_file = os.path.join(self.cache, "setup.lock")

    def requirements(self, name: str) -> str:
        """The path of the hash-locked requirement file ``name``."""
        return os.path.join(self.locks, f"{name}.lock")


def home(env: Mapping[str, str]) -> str:
    """The user's home folder: ``$HOME``, or what the user database says."""
    return env.get("HOME") or os.path.expanduser("~")


def default_locations() -> Locations:
    """The locations for this process's environment and this very package."""
    return Locations(os.environ, os.path.dirname(os.path.realpath(__file__)))
