"""The table says what is in each layer, who shares it, and what changed."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from strata.report.layers import describe_images, render_table


def layer(number: int, *names: str, reason: str = "because") -> Dict[str, Any]:
    return {
        "digest": f"sha256:{number:064x}",
        "size": 10**number,
        "uncompressed_size": 2 * 10**number,
        "reason": reason,
        "members": [{"name": name, "version": "1"} for name in names],
    }


def report(*layers: Dict[str, Any]) -> Dict[str, Any]:
    references: List[str] = ["x:latest"]
    return {"digest": "sha256:ff", "references": references, "layers": list(layers)}


REPORTS = {
    "b:image": report(layer(3, "python:numpy"), layer(5, "source:b")),
    "a:image": report(layer(3, "python:numpy"), layer(4, "a", "b", "c", "d", "e")),
}


def test_sharing_and_changes() -> None:
    described = describe_images(REPORTS, {"a:image": report(layer(3))})
    assert list(described) == ["a:image", "b:image"]
    facts = {
        address: [(item["shared_with"], item["changed"]) for item in image["layers"]]
        for address, image in described.items()
    }
    assert facts == {
        "a:image": [(["b:image"], False), ([], True)],
        "b:image": [(["a:image"], None), ([], None)],
    }


def test_table() -> None:
    text = render_table(describe_images(REPORTS, {"a:image": report(layer(3))}), 100)
    first, second = text.split("\n\nb:image")
    assert first.splitlines()[0] == "a:image  x:latest"
    assert "2*  000000000000  20.0 kB  10.0 kB  a 1, b 1, c 1 and 2 more (because)" in first
    assert "1  000000000000   2.0 kB   1.0 kB  python:numpy 1 (because)" in first
    assert first.endswith("* changed since the last build: 1, 10.0 kB")
    assert "changed" not in second


@pytest.mark.parametrize("width", [70, 80, 120, 300])
def test_table_fits(width: int) -> None:
    image = report(layer(3, "python:" + "n" * 90, reason="r" * 90))
    text = render_table(describe_images({"a" * 30: image, "b" * 30: image}, {}), width)
    rows = [line for line in text.splitlines() if line.lstrip().startswith("1")]
    assert rows and all(len(row) <= width for row in rows)


def test_images_that_were_not_given_share_too() -> None:
    others = {"c:image": report(layer(5, "source:b")), "a:image": report(layer(5, "an old one"))}
    described = describe_images(REPORTS, {}, others)
    assert list(described) == ["a:image", "b:image"]
    assert described["b:image"]["layers"][1]["shared_with"] == ["c:image"]
