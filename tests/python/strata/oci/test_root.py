"""What a root looks like after layers, and where paths lead in it."""

from __future__ import annotations

from typing import Sequence

from strata.oci.root import ImageRoot, LayerMember, RootBuilder


def folder(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> LayerMember:
    return LayerMember(path, True, mode=mode, uid=uid, gid=gid)


def link(path: str, target: str) -> LayerMember:
    return LayerMember(path, target=target, mode=0o777)


def file(path: str) -> LayerMember:
    return LayerMember(path, mode=0o644)


def root(*layers: Sequence[LayerMember]) -> ImageRoot:
    builder = RootBuilder()
    for layer in layers:
        builder.apply(layer)
    return builder.finished()


def test_links_to_folders_are_followed_to_their_end() -> None:
    found = root(
        [
            link("./bin", "usr/bin"),
            folder("usr/bin/"),
            link("var/run", "/run"),
            folder("run"),
            link("run/lock", "../run/../srv"),
            folder("srv"),
            link("all", "var/run/lock"),
            link("etc/climbs", "../../../srv"),
            link("usr/bin/sh", "dash"),
            file("usr/bin/dash"),
            link("dangling", "nowhere"),
            link("loop", "pool"),
            link("pool", "loop"),
        ]
    )
    assert found.links == {
        "all": "srv",
        "bin": "usr/bin",
        "etc/climbs": "srv",
        "run/lock": "srv",
        "var/run": "run",
    }
    assert found.top["bin"] == "other" and found.top["usr"] == "directory"


def test_members_below_a_link_lie_where_it_leads() -> None:
    found = root([link("bin", "usr/bin"), folder("usr/bin")], [folder("bin/x", 0o700)])
    assert found.directories == {"usr/bin/x": (0o700, 0, 0)}
    assert found.links == {"bin": "usr/bin"}


def test_unusual_folders_as_the_last_layer_has_them() -> None:
    found = root(
        [folder("tmp", 0o1777), folder("root", 0o700), folder("srv", 0o755, 7, 8)],
        [folder("root", 0o755), file("tmp/x"), folder("home/me", 0o750, 1000, 1000)],
    )
    assert found.directories == {
        "home/me": (0o750, 1000, 1000),
        "srv": (0o755, 7, 8),
        "tmp": (0o1777, 0, 0),
    }


def test_whiteouts_mean_lower_layers_only() -> None:
    lower = [link("a/b", "/c"), folder("c", 0o700), folder("d/e", 0o700), folder("d/f", 0o700)]
    upper = [file("a/.wh.b"), file("d/.wh..wh..opq"), folder("d/f", 0o711), file(".wh.gone")]
    assert root(lower, upper) == root([folder("a"), folder("c", 0o700), folder("d/f", 0o711)])
    # Their place in the layer does not matter.
    assert root(lower, upper[::-1]) == root(lower, upper)


def test_what_replaces_a_folder_or_a_link() -> None:
    assert root([folder("a/b", 0o700)], [file("a")]).directories == {}
    assert root([link("a", "b"), folder("b")], [folder("a", 0o700)]).directories == {
        "a": (0o700, 0, 0)
    }
    assert root([folder("a/b", 0o700)], [folder("a", 0o711)]).directories == {
        "a": (0o711, 0, 0),
        "a/b": (0o700, 0, 0),
    }


def test_json_round_trip() -> None:
    found = root([folder("tmp", 0o1777), link("bin", "tmp")])
    assert ImageRoot.from_json(found.to_json()) == found


def test_names_that_leave_the_root_are_none() -> None:
    assert root([file("../x"), folder("a/../../b", 0o700), file("./"), folder("/")]) == root([])
