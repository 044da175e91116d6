"""Equal inputs give equal bytes, whoever builds where and with what settings."""

from __future__ import annotations

from pathlib import Path

from end_to_end.other_user import checkout_of_another_user
from end_to_end.pants_checkout import PantsCheckout, sha256
from end_to_end.tools import require


def test_another_path_locale_clock_umask_seed_and_core_count(
    built: PantsCheckout, tmp_path: Path
) -> None:
    require("taskset")
    other = PantsCheckout(tmp_path / "a" / "much longer path with spaces", tmp_path / "caches")
    other.run(
        "package",
        "app:image",
        environment={
            "LC_ALL": "C",
            "LANG": "tr_TR.UTF-8",
            "TZ": "Pacific/Kiritimati",
            "PYTHONHASHSEED": "1",
            "SOURCE_DATE_EPOCH": "123456789",
        },
        prefix=["taskset", "-c", "0", "sh", "-c", 'umask 077; exec "$0" "$@"'],
    )
    assert sha256(other.archive("app/image")) == sha256(built.archive("app/image"))
    assert other.report("app/image") == built.report("app/image")


def test_another_user_with_empty_caches(built: PantsCheckout) -> None:
    with checkout_of_another_user() as other:
        other.run("package", "app:image")
        assert sha256(other.archive("app/image")) == sha256(built.archive("app/image"))
