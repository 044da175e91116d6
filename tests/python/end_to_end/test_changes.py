"""A change rebuilds what depends on it, and nothing else."""

from __future__ import annotations

import uuid
from typing import Any, Dict, Set

from end_to_end.pants_checkout import PantsCheckout, members_by_digest


def changed(before: Dict[str, Any], after: Dict[str, Any]) -> "tuple[Set[str], Set[str]]":
    """The first member of each layer that is only in one of the two images."""
    old, new = members_by_digest(before), members_by_digest(after)
    gone = {members[0] for digest, members in old.items() if digest not in new}
    added = {members[0] for digest, members in new.items() if digest not in old}
    return gone, added


def test_one_line_edit_changes_one_layer(checkout: PantsCheckout) -> None:
    checkout.run("package", "app:image")
    before = checkout.report("app/image")
    # Never edited so before: no result of an earlier run is in the caches.
    edited = f"_MAX_BODY = 33 << 20  # {uuid.uuid4()}"
    checkout.replace("app/web/application.py", "_MAX_BODY = 32 << 20", edited)
    result = checkout.run("package", "app:image")
    gone, added = changed(before, checkout.report("app/image"))
    assert gone == added and len(gone) == 1
    assert next(iter(gone)).startswith("source:")
    assert len(result.layer_processes) == 1
    assert "source:" in result.layer_processes[0]


def test_no_change_runs_no_process(checkout: PantsCheckout) -> None:
    checkout.run("package", "app:image")
    result = checkout.run("package", "app:image")
    assert result.layer_processes == []
    assert not [name for name in result.processes if name.startswith("Write")]


def test_bumped_wheel_changes_its_own_layer_and_the_links(checkout: PantsCheckout) -> None:
    # Every wheel in a layer of its own makes the change visible.
    checkout.replace("app/BUILD", 'image_name="strata-demo",', _POPULARITY)
    checkout.run("package", "app:image")
    before = checkout.report("app/image")
    for path in ("3rdparty/python/app/requirements.txt", "3rdparty/python/app.lock"):
        checkout.replace(path, "waitress==3.0.2", "waitress==3.0.1")
    checkout.replace("3rdparty/python/app.lock", *_OTHER_WAITRESS)
    result = checkout.run("package", "app:image")
    gone, added = changed(before, checkout.report("app/image"))
    assert gone == added == {"python:waitress", "customisation"}
    # At most: an earlier run may have left their results in the caches.
    assert set(result.layer_processes) <= {"Customisation layer", "Layer of python:waitress 3.0.1"}


def test_second_image_shares_layers_and_runs_nothing_for_them(checkout: PantsCheckout) -> None:
    checkout.run("package", "app:image")
    first = members_by_digest(checkout.report("app/image"))
    result = checkout.run("package", "app:batch-image")
    second = members_by_digest(checkout.report("app/batch-image"))
    shared = [members for digest, members in second.items() if digest in first]
    names = {name for members in shared for name in members}
    assert {"python:numpy", "python:pillow", "debian:libc6", "debian:python3.11-minimal"} <= names
    own = [members for digest, members in second.items() if digest not in first]
    assert all(name.startswith("source:") for members in own[:-1] for name in members)
    ran = " ".join(result.layer_processes)
    assert "python:" not in ran and "debian:" not in ran


def test_created_changes_no_layer(checkout: PantsCheckout) -> None:
    checkout.run("package", "app:image")
    before = checkout.report("app/image")
    checkout.replace("app/BUILD", 'image_name="strata-demo",', _CREATED)
    result = checkout.run("package", "app:image")
    after = checkout.report("app/image")
    assert after["digest"] != before["digest"]
    assert members_by_digest(after) == members_by_digest(before)
    assert result.layer_processes == []


def test_log_lines_say_what_was_built(checkout: PantsCheckout) -> None:
    result = checkout.run("package", "app:image")
    assert "image: strata-demo:latest" in result.output
    assert "digest: sha256:" in result.output
    assert "layers: " in result.output


_POPULARITY = 'image_name="strata-demo", layering="popularity",'
_CREATED = 'image_name="strata-demo", created="2024-05-06T07:08:09Z",'
_OTHER_WAITRESS = (
    "682aaaf2af0c44ada4abfb70ded36393f0e307f4ab9456a215ce0020baefc31f",
    "26cdbc593093a15119351690752c99adc13cbc6786d75f7b6341d1234a3730ac",
)
