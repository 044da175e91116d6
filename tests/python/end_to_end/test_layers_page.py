"""What the page of ``layers --html`` does when it is used, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import pytest

from end_to_end.browser import Browser, Page
from strata.report.closure import describe_closure
from strata.report.layers import describe_images
from strata.report.page import render_page

EVIL = "python:</script><img src=x onerror=alert(1)>&lt;\"'\u2028"
ADDRESS = "app:image"


def member(name: str, size: int, version: str = "1") -> Dict[str, Any]:
    return {"name": name, "version": version, "size": size, "files": 1}


def report(
    layers: Mapping[int, Sequence[Dict[str, Any]]],
    references: Optional[Mapping[str, Sequence[str]]] = None,
    contents: Optional[Mapping[str, str]] = None,
) -> Dict[str, Any]:
    """An image of layers by a number that stands for their content; without ``references`` it has
    no closure. The first object is the one that is asked for."""
    rows = [
        {
            "digest": f"sha256:{number:064x}",
            "diff_id": f"sha256:{number + 1000:064x}",
            "size": 1000 + number,
            "uncompressed_size": 5000,
            "reason": "because",
            "members": list(members),
        }
        for number, members in layers.items()
    ]
    result: Dict[str, Any] = {
        "digest": "sha256:ff",
        "references": ["x:latest"],
        "size": sum(row["size"] for row in rows),
        "layers": rows,
    }
    if references is not None:
        names = [item["name"] for members in layers.values() for item in members]
        known = {name: (contents or {}).get(name, "same") for name in names if ":" in name}
        result["closure"] = describe_closure({"app:x": names[:1]}, references, known)
    return result


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Any:
    pages: List[Page] = []

    def open_page(
        reports: Dict[str, Dict[str, Any]],
        before: Optional[Dict[str, Dict[str, Any]]] = None,
        width: int = 1280,
    ) -> Page:
        file = tmp_path / "page.html"
        file.write_text(
            render_page(describe_images(reports, before or {}), before or {}), encoding="utf-8"
        )
        pages.append(browser.open(file, width, "light", touch=width < 600))
        return pages[-1]

    yield open_page
    for page in pages:
        assert page.complaints == []
        assert len(page.requests) == 1
        page.close()


IMAGE = report(
    {
        1: [member("source:web", 4000), member("python:a", 2000), member("python:b", 1000)],
        2: [member("debian:c", 9000)],
    },
    {"source:web": ["python:a", "debian:c"], "python:a": ["python:b"], "python:b": ["python:a"]},
)


def text(page: Page, selector: str) -> str:
    return str(page.run(f"document.querySelector({selector!r}).innerText"))


def test_names_are_never_markup(opened: Any) -> None:
    image = report({1: [member(EVIL, 5000, EVIL), member("python:x", 10)]}, {EVIL: ["python:x"]})
    image["layers"][0]["reason"] = EVIL
    page = opened({EVIL: image, "b": image}, {EVIL: report({2: [member(EVIL, 1)]}, {})})
    assert page.run("document.images.length") == 0
    assert page.run("document.querySelector('#title').textContent") == EVIL
    assert page.run("document.querySelector('#details h3').textContent") == EVIL
    page.run(
        "const s = document.querySelector('#search'); s.value = 'onerror'; "
        "s.dispatchEvent(new Event('input'))"
    )
    assert page.run("document.querySelector('#matches button').textContent") == EVIL
    page.run("document.querySelector('#matches button').click()")
    assert page.run("document.querySelector('.paths strong').textContent") == EVIL
    assert page.run("document.querySelector('#changed-objects tr[data-name]').dataset.name") == EVIL
    assert page.run("document.images.length") == 0


def test_tap_hover_and_keys_give_details(opened: Any) -> None:
    page = opened({ADDRESS: IMAGE}, width=360)
    assert text(page, "#details h3") == "debian:c"
    page.tap("[data-name='python:a']")
    assert text(page, "#details h3") == "python:a"
    assert "2.0 kB, 12.5 % of the image" in text(page, "#details")
    chosen = "[...document.querySelectorAll('.cell[aria-pressed=true]')].map(c => c.dataset.name)"
    assert page.run(chosen) == ["python:a"]

    page = opened({ADDRESS: IMAGE})
    page.hover("[data-name='source:web']")
    assert text(page, "#details h3") == "source:web"
    page.hover("h1")
    assert text(page, "#details h3") == "debian:c"

    # One box is in the order of the tab key; arrows go on from there.
    assert page.run("document.querySelectorAll('.cell[tabindex=\"0\"]').length") == 1
    page.run("document.querySelector('.cell[tabindex=\"0\"]').focus()")
    focused = "document.activeElement.dataset.name"
    assert page.run(focused) == "debian:c"
    page.press("ArrowRight")
    assert page.run(focused) == text(page, "#details h3") != "debian:c"
    page.press("End")
    assert page.run(focused) == "python:b"
    page.press("Enter")
    assert page.run(chosen) == ["python:b"]
    page.press("Home")
    page.press("ArrowLeft")
    assert page.run(focused) == "debian:c"
    label = page.run("document.activeElement.getAttribute('aria-label')")
    assert label == "debian:c 1, 9.0 kB, 56.3 %, layer 2"


def test_one_layer_alone(opened: Any) -> None:
    page = opened({ADDRESS: IMAGE})
    page.click("[data-name='source:web']")
    page.click("#details .actions button:last-child")
    names = "[...document.querySelectorAll('.cell')].map(cell => cell.dataset.name)"
    assert page.run(names) == ["source:web", "python:a", "python:b"]
    assert text(page, "#crumbs span") == "Layer 1: 3 objects, 7.0 kB"
    assert page.run("document.activeElement.dataset.name") == "source:web"
    page.click("#crumbs button")
    assert len(page.run(names)) == 4
    page.click("[data-name='debian:c']")
    page.click("#details .actions button")
    assert text(page, "#reasons h3") == "debian:c 1"
    steps = "[...document.querySelectorAll('.path .node')].map(node => node.textContent)"
    assert page.run(steps) == ["app:x", "source:web", "debian:c"]


def test_search_and_neighbours(opened: Any) -> None:
    page = opened({ADDRESS: IMAGE})
    page.run("document.querySelector('#search').select()")
    page.type("PYTHON")
    assert text(page, "#found") == "2 objects"
    page.press("Enter")
    assert text(page, "#reasons h3") == "python:a 1"
    # What only a circle leads to is no reason.
    assert page.run("document.querySelectorAll('.paths > li').length") == 1
    names = "[...document.querySelectorAll('#{} .node')].map(node => node.textContent)"
    assert page.run(names.format("referrers")) == ["python:b", "source:web"]
    assert page.run(names.format("references")) == ["python:b"]
    page.click("#references button")
    assert text(page, "#reasons h3") == "python:b 1"


def test_what_became_of_objects(opened: Any) -> None:
    before = report(
        {
            1: [member("source:web", 4000)],
            2: [member("python:new-version", 100), member("python:companion", 100)],
            3: [member("python:gone", 500)],
            4: [member("debian:kept", 700)],
            7: [member("customisation", 10)],
        },
        {},
        {"source:web": "one content"},
    )
    after = report(
        {
            4: [member("debian:kept", 700)],
            5: [member("source:web", 4000)],
            6: [member("python:new-version", 150, "2"), member("python:companion", 100)],
            8: [member("customisation", 10)],
            9: [member("python:added", 1)],
        },
        {},
        {"source:web": "another"},
    )
    page = opened({ADDRESS: after}, {ADDRESS: before})
    rows = page.run(
        "[...document.querySelectorAll('#changed-objects tbody tr')]"
        ".map(row => [row.dataset.name, row.dataset.change, row.lastChild.innerText])"
    )
    assert rows == [
        ["customisation", "changed", "10 B"],
        ["python:new-version", "changed", "+50 B"],
        ["source:web", "changed", "4.0 kB"],
        ["python:added", "added", "+1 B"],
        ["python:gone", "removed", "−500 B"],
        ["python:companion", "again", "100 B"],
    ]
    assert "1 → 2" in text(page, "tr[data-name='python:new-version']")
    assert page.run("document.querySelector('#pushed data').value") == str(4 * 1000 + 5 + 6 + 8 + 9)
    # The lowest layer is another one, so all are unpacked anew.
    assert text(page, "#unpacked") == "5 layers"


def test_equal_builds_push_nothing(opened: Any) -> None:
    page = opened({ADDRESS: IMAGE}, {ADDRESS: IMAGE})
    assert text(page, ".verdict") == "0 B would be sent: of 2.0 kB in 2 layers, all are there."
    assert text(page, "#counts") == "Objects: all as they were."


def test_nothing_to_compare_and_nothing_known(opened: Any) -> None:
    older = report({1: [member("python:a", 10)], 2: []})
    page = opened({ADDRESS: older})
    assert "nothing to compare with" in text(page, "#difference")
    assert "The report does not say" in text(page, "#reasons")
    assert page.run("document.querySelectorAll('.cell').length") == 2
    assert page.run("document.querySelectorAll('.layer .kind-base').length") == 1


def test_objects_of_a_mounted_store(opened: Any) -> None:
    image = report({1: [member("source:web", 10)]}, {"source:web": ["python:a"]})
    image["closure"]["objects"]["python:a"] = {"content": "x", "references": []}
    page = opened({ADDRESS: image})
    assert text(page, "#reasons h3") == "python:a"
    assert text(page, "#found") == "Python distribution, in no layer of this image"


def test_thousands_of_objects(opened: Any) -> None:
    names = [f"python:p{number}" for number in range(3000)]
    references = {name: names[index // 2 : index // 2 + 1] for index, name in enumerate(names)}
    members = [member(name, 1000 + index) for index, name in enumerate(names)]
    layers = {number: members[number * 100 : number * 100 + 100] for number in range(30)}
    page = opened({ADDRESS: report(layers, references)}, width=360)
    assert page.run("document.querySelectorAll('.cell').length") == 3000
    assert page.run("document.documentElement.scrollWidth") == 360
