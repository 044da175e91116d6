"""The engine names that rules use: the only module that knows which Pants it runs on.

Rules are written once, in the call-by-name idiom. Pants 2.28 and later have that idiom; on older
releases look-alikes over ``Get`` stand in.
"""

from pants.version import PANTS_SEMVER, Version

if Version("2.28") > PANTS_SEMVER:
    from layered_image.engine_legacy import *  # noqa: F403
else:
    from layered_image.engine_modern import *  # noqa: F403
