"""Draws an image's layers as an SVG, from the report that ``package`` writes.

Usage: python3 docs/draw_layers.py dist/app/image.json > docs/layers.svg
"""

from __future__ import annotations

import json
import sys
from html import escape
from typing import Any, Dict, List

_WIDTH = 760
_BAR = 250
_ROW = 22
_COLOURS = {
    "debian": "#3b6ea5",
    "python": "#b7791f",
    "certificates": "#b7791f",
    "source": "#2f855a",
    "customisation": "#805ad5",
}
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1a202c }
.quiet { fill: #4a5568 }
@media (prefers-color-scheme: dark) { text { fill: #edf2f7 } .quiet { fill: #a0aec0 } }
"""


def label(members: List[Dict[str, Any]]) -> str:
    names = [f"{m['name'].partition(':')[2] or m['name']} {m['version']}".strip() for m in members]
    text = ", ".join(names[:3])
    return text if len(names) <= 3 else f"{text} and {len(names) - 3} more"


def row(index: int, layer: Dict[str, Any], largest: int) -> str:
    kind = layer["members"][0]["name"].partition(":")[0]
    # The square root keeps small layers visible beside large ones.
    width = max(2.0, _BAR * (layer["size"] / largest) ** 0.5)
    top = index * _ROW
    size = layer["size"] / 1e6
    return (
        f'<rect x="0" y="{top + 3}" width="{width:.1f}" height="{_ROW - 6}" rx="2" '
        f'fill="{_COLOURS[kind]}"/>'
        f'<text x="{_BAR + 72}" y="{top + 15}" text-anchor="end" class="quiet">{size:.2f} MB</text>'
        f'<text x="{_BAR + 84}" y="{top + 15}">{escape(label(layer["members"]))}</text>'
    )


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        layers = json.load(file)["layers"]
    largest = max(layer["size"] for layer in layers)
    rows = [row(i, layer, largest) for i, layer in enumerate(reversed(layers))]
    height = len(layers) * _ROW
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">'
        f"<title>Layers of an image, the top one first</title><style>{_STYLE}</style>"
        + "".join(rows)
        + "</svg>"
    )


if __name__ == "__main__":
    main(sys.argv[1])
