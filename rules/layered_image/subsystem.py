"""Options of the backend: ``[layered-images]``."""

from __future__ import annotations

from typing import List

from pants.option.option_types import DictOption, StrListOption, StrOption
from pants.option.subsystem import Subsystem
from pants.util.strutil import softwrap


class LayeredImageSubsystem(Subsystem):
    options_scope = "layered-images"
    help = "Options for reproducible layered container images."

    store = StrOption(
        default="/opt/store",
        help=softwrap(
            """
            Where objects lie in every image: wheels, first-party sources and packaged artifacts.
            Use one store in a whole repository, so that images share layers.
            """
        ),
    )

    applications = StrOption(
        default="/opt/app",
        help=softwrap(
            """
            The folder in an image that holds one virtual environment of links for each
            `pex_binary`, named after the target.
            """
        ),
    )

    debian_mirrors = DictOption[List[str]](
        default={},
        help=softwrap(
            """
            Mirrors to fetch Debian packages from, as a dict of suite to list of URLs, for example
            `{"bookworm": ["http://mirror.example/debian"]}`. They are tried in order. By default
            the mirrors come from the machine's apt configuration. Locks name no mirror.
            """
        ),
    )

    python_search_path = StrListOption(
        default=["/usr/bin", "/bin", "/usr/local/bin"],
        help=softwrap(
            """
            Where to look for the `python3` (3.9 or newer) that runs this backend's processes. It
            is part of every process' cache key, so keep it equal on all machines.
            """
        ),
    )

    command_memory = StrOption(
        default="50%",
        help=softwrap(
            """
            How much memory the files that an image's commands change or make may take, as a share
            of the machine's or in bytes with a suffix (`2g`). They lie in memory so that nothing is
            left behind, however a build ends.
            """
        ),
    )
