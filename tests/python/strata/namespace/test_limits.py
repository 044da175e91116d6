"""What a machine refuses is found by trying it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from strata.namespace.id_map import IdMap, IdMapKind
from strata.namespace.limits import find_limits


@pytest.mark.parametrize("refusal", [errno.EPERM, errno.EINVAL])
def test_owners_are_recorded_where_an_id_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(refusal, os.strerror(refusal))

    # A namespace around this process may lack the id, which is another error than a missing right.
    monkeypatch.setattr(os, "chown", refuse)
    assert find_limits(IdMap(IdMapKind.NONE), tmp_path).owners


def test_other_errors_are_not_taken_for_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "setxattr", fail)
    with pytest.raises(OSError, match="No space"):
        find_limits(IdMap(IdMapKind.NONE), tmp_path)
