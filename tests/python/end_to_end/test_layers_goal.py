"""The ``layers`` goal tells the truth about built images, in the terminal and in a browser."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List

import pytest

from end_to_end.browser import Browser, Page
from end_to_end.pants_checkout import PantsCheckout


@dataclass(frozen=True)
class Runs:
    """``report`` is of the last build; ``images`` of after an edit of the batch program, with
    ``both`` as page; ``table`` and ``page`` of ``app:image`` after an edit of the service too."""

    report: Dict[str, Any]
    images: Dict[str, Any]
    both: Path
    table: str
    page: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    checkout = PantsCheckout(tmp_path_factory.mktemp("layers") / "checkout")
    checkout.run("package", "app:image", "app:batch-image")
    report = checkout.report("app/image")
    # As if it had never been built.
    last_batch = checkout.root / "dist/app/batch-image.json"
    text = last_batch.read_text()
    last_batch.unlink()
    checkout.replace("app/batch/main.py", "usage: batch FILE...", "usage: batch FILE ...")
    both = ("app:image", "app:batch-image")
    images = json.loads(checkout.stream("layers", "--format=json", "--html", *both))
    checkout.replace("app/web/application.py", "_MAX_BODY = 32 << 20", "_MAX_BODY = 35 << 20")
    last_batch.write_text(text)
    table = checkout.stream("layers", "--width=100", "--html", "app:image").decode()
    dist = checkout.root / "dist"
    return Runs(report, images, dist / "layers.html", table, dist / "app/image.layers.html")


def test_layers_of_two_images(runs: Runs) -> None:
    assert sorted(runs.images) == ["app:batch-image", "app:image"]
    layers = runs.images["app:image"]["layers"]
    assert [item["digest"] for item in layers] == [item["digest"] for item in runs.report["layers"]]
    assert not any(layer["changed"] for layer in layers)
    assert all(layer["changed"] is None for layer in runs.images["app:batch-image"]["layers"])
    numpy = next(item for item in layers if item["members"][0]["name"] == "python:numpy")
    assert numpy["shared_with"] == ["app:batch-image"]
    assert layers[-1]["shared_with"] == []


def test_table(runs: Runs) -> None:
    assert "* changed since the last build: 1, " in runs.table
    assert max(len(line) for line in runs.table.splitlines()) <= 100
    # The other image was not given, and its last report says what it shares.
    (numpy,) = (line for line in runs.table.splitlines() if "python:numpy" in line)
    assert numpy.split()[-1].startswith("app:batch-")
    (code,) = (line for line in runs.table.splitlines() if "customisation" in line)
    assert code.endswith("-")


def test_no_images_no_layers(checkout: PantsCheckout) -> None:
    result = checkout.run("layers", "app:server")
    assert "nothing to show" in result.output


def test_report_has_the_closure(runs: Runs) -> None:
    closure = runs.report["closure"]
    named = {member["name"] for layer in runs.report["layers"] for member in layer["members"]}
    assert set(closure["objects"]) == named - {"customisation"}
    assert closure["roots"]["app:server"] == ["source:web"]
    assert closure["roots"]["app:os"][0] == "debian:ca-certificates"
    assert "python:markupsafe" in closure["objects"]["python:jinja2"]["references"]
    assert all(len(item["content"]) == 64 for item in closure["objects"].values())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_page_is_well_behaved(runs: Runs, browser: Browser, width: int, scheme: str) -> None:
    page = browser.open(runs.page, width, scheme, touch=width == 360)
    try:
        assert page.requests == [runs.page.as_uri()]
        assert page.complaints == []
        assert page.run("document.documentElement.scrollWidth") == width
        assert page.run("[...document.querySelectorAll('section')].every(s => s.checkVisibility())")
        dark = page.run("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 28)"
        assert dark == (scheme == "dark")
        texts = page.contrasts()
        assert len(texts) > 100
        assert [text for text in texts if text["ratio"] < 4.5] == []
    finally:
        page.close()


_AREAS = """
(() => {
  const box = (node) => {
    const { x, y, width, height } = node.getBoundingClientRect();
    return [x, y, width, height];
  };
  const map = document.querySelector("#treemap");
  return {
    frame: box(map),
    layers: [...map.children].map((layer) => ({
      number: Number(layer.dataset.layer),
      box: box(layer),
      cells: [...layer.children].map((cell) => ({
        name: cell.dataset.name, bytes: Number(cell.dataset.bytes), box: box(cell),
      })),
    })),
  };
})()
"""


def _area(box: List[float]) -> float:
    return box[2] * box[3]


def _is_inside(inner: List[float], outer: List[float]) -> bool:
    near = 0.1
    return (
        inner[0] >= outer[0] - near
        and inner[1] >= outer[1] - near
        and inner[0] + inner[2] <= outer[0] + outer[2] + near
        and inner[1] + inner[3] <= outer[1] + outer[3] + near
    )


@pytest.mark.parametrize("width", [360, 1280])
def test_areas_are_proportional_to_sizes(runs: Runs, browser: Browser, width: int) -> None:
    page = browser.open(runs.page, width, "light")
    found = page.run(_AREAS)
    page.close()
    expected = {
        (number, member["name"]): member["size"]
        for number, layer in enumerate(runs.report["layers"], 1)
        for member in layer["members"]
        if member["size"]
    }
    cells = [(layer, cell) for layer in found["layers"] for cell in layer["cells"]]
    # The edit, one number for another, changes no size.
    assert {(layer["number"], cell["name"]): cell["bytes"] for layer, cell in cells} == expected
    scale = _area(found["frame"]) / sum(expected.values())
    for layer in found["layers"]:
        assert _is_inside(layer["box"], found["frame"])
        size = sum(cell["bytes"] for cell in layer["cells"])
        # Browsers place boxes on a grid of 1/64 px.
        assert _area(layer["box"]) == pytest.approx(size * scale, rel=0.01, abs=3)
    for layer, cell in cells:
        assert _is_inside(cell["box"], layer["box"])
        assert _area(cell["box"]) == pytest.approx(cell["bytes"] * scale, rel=0.01, abs=3)
    # Inside each other, and as large together as the whole: so nothing overlaps.
    assert sum(_area(cell["box"]) for _, cell in cells) == pytest.approx(
        _area(found["frame"]), rel=0.002
    )


def _paths(page: Page, name: str) -> List[List[str]]:
    """What the page says after somebody typed a name."""
    page.run("document.querySelector('#search').select()")
    page.click("#search")
    page.run("document.querySelector('#search').select()")
    page.type(name)
    shown = page.run("document.querySelector('#reasons h3').textContent")
    assert shown.split(" ")[0] == name
    paths: List[List[str]] = page.run(
        "[...document.querySelectorAll('.paths > li')].map(path => "
        "[...path.querySelectorAll('.node')].map(node => node.textContent))"
    )
    return paths


def test_why_is_this_here(runs: Runs, browser: Browser) -> None:
    page = browser.open(runs.page, 1280, "light")
    way = ["app:server", "source:web", "python:flask"]
    assert _paths(page, "python:markupsafe") == [
        [*way, "python:jinja2", "python:markupsafe"],
        [*way, "python:werkzeug", "python:markupsafe"],
    ]
    # The drawing has the same edges, from above to below, and what it refers to.
    assert page.run("[...document.querySelectorAll('.graph .row')].map(row => row.innerText)") == [
        "app:server",
        "source:web",
        "python:flask",
        "python:jinja2\npython:werkzeug",
        "python:markupsafe",
        "debian:python3.11-minimal",
    ]
    # Lines are drawn when the browser has laid the page out, which takes until the next frame.
    edges = page.run(
        "new Promise(done => { const look = left => {"
        " const edges = document.querySelectorAll('.graph .edge').length;"
        " if (edges || !left) done(edges); else setTimeout(look, 50, left - 1); }; look(200); })"
    )
    assert edges == 7
    assert page.run("document.querySelectorAll('.graph .edge.first').length") == 4
    assert _paths(page, "source:web") == [["app:server", "source:web"]]
    # The references of resources are not lost behind the targets that generate them.
    assert _paths(page, "source:web:templates") == [
        ["app:server", "source:web", "source:web:templates"]
    ]
    page.close()


def test_shortest_paths_of_all_objects(runs: Runs, browser: Browser) -> None:
    closure = runs.report["closure"]
    objects = closure["objects"]
    depths: Dict[str, int] = {}
    level = {name for names in closure["roots"].values() for name in names}
    while level:
        depths.update(dict.fromkeys(level, max(depths.values(), default=0) + 1))
        level = {target for name in level for target in objects[name]["references"]} - set(depths)
    assert set(depths) == set(objects)
    page = browser.open(runs.page, 1280, "light")
    for name in sorted(objects):
        path = _paths(page, name)[0]
        assert len(path) == depths[name] + 1
        assert path[1] in closure["roots"][path[0]]
        for one, other in zip(path[1:], path[2:]):
            assert other in objects[one]["references"]
    page.close()


def _pushed(page: Page) -> int:
    return int(page.run("document.querySelector('#pushed data').value"))


def test_comparison_with_the_last_build(runs: Runs, browser: Browser) -> None:
    page = browser.open(runs.page, 1280, "light")
    data = page.run("JSON.parse(document.querySelector('#data').textContent)")
    before = {layer["digest"] for layer in runs.report["layers"]}
    new = [x for x in data["images"]["app:image"]["layers"] if x["digest"] not in before]
    assert [member["name"] for layer in new for member in layer["members"]].count("source:web") == 1
    assert _pushed(page) == sum(layer["size"] for layer in new) < 100_000
    rows = page.run(
        "Object.fromEntries([...document.querySelectorAll('#changed-objects tbody tr')]"
        ".map(row => [row.dataset.name, row.dataset.change]))"
    )
    # Two digits are as long as two others: only the content says that it is another object.
    assert rows["source:web"] == "changed"
    others = {member["name"] for layer in new for member in layer["members"]} - {"source:web"}
    assert rows == {"source:web": "changed", **{name: "again" for name in others}}
    page.close()


def test_comparison_of_two_images(runs: Runs, browser: Browser) -> None:
    page = browser.open(runs.both, 360, "dark", touch=True)
    options = page.run("[...document.querySelectorAll('#held option')].map(o => o.value)")
    assert options == ["app:batch-image", "app:image", "app:image (last build)"]
    layers = {address: image["layers"] for address, image in runs.images.items()}
    for one, other in (("app:image", "app:batch-image"), ("app:batch-image", "app:image")):
        page.run(
            f"for (const [id, value] of [['wanted', '{one}'], ['held', '{other}']]) {{"
            "const select = document.getElementById(id); select.value = value; "
            "select.dispatchEvent(new Event('change')); }"
        )
        there = {layer["digest"] for layer in layers[other]}
        missing = [layer["size"] for layer in layers[one] if layer["digest"] not in there]
        assert missing and _pushed(page) == sum(missing)
        rows = page.run("document.querySelectorAll('#pushed-layers tbody tr').length")
        assert rows == len(missing)
    added = "[...document.querySelectorAll('[data-change=added]')].map(row => row.dataset.name)"
    removed = added.replace("added", "removed")
    assert "source:batch" in page.run(added)
    assert {"source:web", "python:flask"} <= set(page.run(removed))
    # The other image's table is there for the asking.
    assert page.run("document.querySelectorAll('table.layers:not([hidden])').length") == 1
    assert page.run("document.documentElement.scrollWidth") == 360
    page.close()
