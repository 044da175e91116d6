"""One self-contained page about images: what is in them, why, and what changed.

The page asks nothing of any network: styles, scripts and data are in it, and its content security
policy allows no others, by their hashes. It has the tables as plain HTML, so that it says what is
in the layers without scripts too.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, List, Mapping

from strata.report.sizes import decimal_size

#: One program, in the order in which its parts build on each other.
_SCRIPTS = (
    "elements",
    "squarify",
    "treemap",
    "paths",
    "graph",
    "why",
    "difference",
    "compare",
    "main",
)
_STYLES = ("base", "treemap", "closure", "tables")
_MEMBERS_SHOWN = 6


def render_page(
    images: Mapping[str, Mapping[str, Any]], before: Mapping[str, Mapping[str, Any]]
) -> str:
    """The page, as HTML text, of the images of ``describe_images``.

    ``before`` holds reports of earlier builds by address, to compare with. Equal arguments give
    equal text.
    """
    script = "\n".join(_asset(f"{name}.js") for name in _SCRIPTS)
    # A function of its own, so that nothing of it meets what browsers name.
    script = f'(() => {{\n"use strict";\n{script}}})();\n'
    style = "\n".join(_asset(f"{name}.css") for name in _STYLES)
    data = {"images": images, "before": before}
    return Template(_asset("page.html")).substitute(
        title=escape(", ".join(images)),
        style=style,
        style_hash=_source_hash(style),
        script=script,
        script_hash=_source_hash(script),
        data=_embedded_json(data),
        tables="\n".join(_table(address, image) for address, image in images.items()),
    )


def _asset(name: str) -> str:
    return (files("strata.report") / "assets" / name).read_text(encoding="utf-8")


def _source_hash(text: str) -> str:
    """As a content security policy names an inline element (CSP level 3, "hash-source")."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _embedded_json(data: Any) -> str:
    """JSON that cannot end the element it is in, whatever the names in it are."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _table(address: str, image: Mapping[str, Any]) -> str:
    layers = image["layers"]
    rows = [_row(number, layers[number - 1]) for number in range(len(layers), 0, -1)]
    count = f"{len(layers)} layer{'' if len(layers) == 1 else 's'}"
    return "\n".join(
        [
            f'<table class="layers" data-image="{escape(address)}">',
            f"<caption><strong>{escape(address)}</strong>: {count}, "
            f"{decimal_size(image['size'])} to pull; the top one first</caption>",
            '<thead><tr><th scope="col">Layer</th><th scope="col">What is in it, and why</th>'
            '<th scope="col" class="number">Size</th></tr></thead>',
            "<tbody>",
            *rows,
            "</tbody></table>",
        ]
    )


def _row(number: int, layer: Mapping[str, Any]) -> str:
    changed = '<span class="tag">changed</span>' if layer["changed"] else ""
    shared = ", ".join(layer["shared_with"])
    notes = [f'<p class="quiet">{escape(layer["reason"])}</p>']
    if shared:
        notes.append(f'<p class="quiet">shared with {escape(shared)}</p>')
    notes.append(f'<p class="quiet"><code>{escape(layer["digest"])}</code></p>')
    unpacked = layer["uncompressed_size"]
    sizes = f"{_size(layer['size'])}"
    if unpacked:
        sizes += f'<br><span class="quiet">{_size(unpacked)} uncompressed</span>'
    return (
        f'<tr><th scope="row">{number}{changed}</th>'
        f"<td>{_members(layer['members'])}{''.join(notes)}</td>"
        f'<td class="number">{sizes}</td></tr>'
    )


def _members(members: List[Mapping[str, Any]]) -> str:
    items = [
        f"<li>{escape(member['name'])} {escape(member['version'])} "
        f'<span class="quiet">{_size(member["size"])}</span></li>'
        for member in sorted(members, key=lambda member: (-member["size"], member["name"]))
    ]
    if not items:
        return "<p>a layer of the base image</p>"
    shown = f"<ul>{''.join(items[:_MEMBERS_SHOWN])}</ul>"
    rest = items[_MEMBERS_SHOWN:]
    if not rest:
        return shown
    return f"{shown}<details><summary>{len(rest)} more</summary><ul>{''.join(rest)}</ul></details>"


def _size(count: int) -> str:
    return f'<data value="{count}">{decimal_size(count)}</data>'
