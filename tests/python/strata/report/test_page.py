"""The page is one file, says everything as plain HTML too, and lets no name become markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any, Dict, List, Optional, Tuple

from strata.report.layers import describe_images
from strata.report.page import render_page

#: Names as hostile as a report could have.
EVIL = "python:</script><script>alert(1)</script>&amp;\"'\u2028$title"


def layer(number: int, *names: str, reason: str = "because") -> Dict[str, Any]:
    return {
        "digest": f"sha256:{number:064x}",
        "diff_id": f"sha256:{number + 100:064x}",
        "size": 10**number,
        "uncompressed_size": 2 * 10**number,
        "reason": reason,
        "members": [
            {"name": name, "version": "1", "size": 10 + index, "files": 1}
            for index, name in enumerate(names)
        ],
    }


def report(*layers: Dict[str, Any]) -> Dict[str, Any]:
    return {
        "digest": "sha256:ff",
        "references": ["x:latest"],
        "size": sum(item["size"] for item in layers),
        "layers": list(layers),
    }


def page(
    reports: Dict[str, Dict[str, Any]], before: Optional[Dict[str, Dict[str, Any]]] = None
) -> str:
    return render_page(describe_images(reports, before or {}), before or {})


class Reader(HTMLParser):
    """What a browser makes of the page: elements with attributes, and the texts in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: List[Tuple[str, Dict[str, Optional[str]]]] = []
        self.texts: List[Tuple[str, str]] = []
        self._open: List[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def inside(self, tag: str) -> List[str]:
        return [text for owner, text in self.texts if owner == tag]

    def attributes(self, tag: str) -> List[Dict[str, Optional[str]]]:
        return [attributes for name, attributes in self.elements if name == tag]


def embedded(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found.group(1))


def test_data_is_all_there() -> None:
    reports = {"a:image": report(layer(3, "python:numpy")), "b:image": report(layer(4, "x"))}
    before = {"a:image": report(layer(2, "python:numpy"))}
    data = embedded(page(reports, before))
    assert data == {"images": describe_images(reports, before), "before": before}


def test_no_name_becomes_markup() -> None:
    reports = {EVIL: report(layer(3, EVIL, reason=EVIL)), "z": report(layer(3, EVIL))}
    harmless = {"a:image": report(layer(3, "x", reason="x")), "z": report(layer(3, "x"))}
    before = report(layer(4, "x"))
    text, plain = page(reports, {EVIL: before}), page(harmless, {"a:image": before})
    reader = Reader(text)
    assert [tag for tag, _ in reader.elements] == [tag for tag, _ in Reader(plain).elements]
    assert len(re.findall(r"<script", text)) == 2
    assert embedded(text)["images"][EVIL]["layers"][0]["members"][0]["name"] == EVIL
    assert reader.attributes("table")[0]["data-image"] == EVIL
    assert any(item.startswith(EVIL) for item in reader.inside("li"))
    assert reader.inside("title") == [f"Layers of {EVIL}, z"]
    # A line separator in a string was once the end of a line to scripts.
    data = text[text.index('id="data"') :]
    assert "\u2028" not in data


def test_the_policy_allows_these_scripts_and_styles_only() -> None:
    text = page({"a:image": report(layer(3, "x"))})
    policy = next(
        item["content"] or ""
        for item in Reader(text).attributes("meta")
        if item.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for tag, name in (("script", "script-src"), ("style", "style-src")):
        content = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.S)
        assert len(content) == 1
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"


def test_nothing_is_elsewhere() -> None:
    reader = Reader(page({"a:image": report(layer(3, "x"))}))
    for _, attributes in reader.elements:
        assert not set(attributes) & {"src", "srcset", "action", "style"}
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith(("#", "data:"))
    for text in reader.inside("style") + reader.inside("script"):
        assert "url(" not in text and "@import" not in text and "fetch(" not in text
        # The one address is the name of SVG's namespace.
        assert set(re.findall(r"https?://[^\"' ]+", text)) <= {"http://www.w3.org/2000/svg"}
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", text)


def test_tables_have_everything_without_scripts() -> None:
    names = [f"python:p{number}" for number in range(9)]
    reports = {"a:image": report(layer(3), layer(5, *names)), "b": report(layer(3))}
    reader = Reader(page(reports, {"a:image": report(layer(3))}))
    assert [item["data-image"] for item in reader.attributes("table")] == ["a:image", "b"]
    items = [text.strip() for text in reader.inside("li") if text.strip()]
    # The largest first, those beyond six folded away.
    assert items == [f"{name} 1" for name in reversed(names)]
    assert reader.inside("summary") == ["3 more"]
    assert "a layer of the base image" in reader.inside("p")
    assert "shared with b" in reader.inside("p")
    assert reader.inside("span").count("changed") == 1
    sizes = [item["value"] for item in reader.attributes("data")]
    assert sizes[:2] == ["18", "17"]
    assert {"1000", "100000", "200000"} <= set(sizes)
    heads = reader.attributes("th")
    assert heads and all(head.get("scope") in ("col", "row") for head in heads)


def test_equal_reports_give_equal_pages() -> None:
    reports = {"a:image": report(layer(3, "x", "y"))}
    assert page(reports) == page(json.loads(json.dumps(reports)))
