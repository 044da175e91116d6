"""A table of images' layers: sizes, members, why they are together, and who shares them."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Set

from strata.report.sizes import decimal_size

_MEMBERS_SHOWN = 3
_DIGEST_SHOWN = 12


def describe_images(
    reports: Mapping[str, Mapping[str, Any]],
    before: Mapping[str, Mapping[str, Any]],
    others: Mapping[str, Mapping[str, Any]] = {},
) -> Dict[str, Any]:
    """The reports of ``reports``, by address, with two more facts about each layer.

    ``shared_with`` lists the other images that have the layer, of these and of ``others``.
    ``changed`` says whether the image's report in ``before`` lacks it, and is None where there is
    no such report.
    """
    owners: Dict[str, List[str]] = {}
    for address, report in sorted({**others, **reports}.items()):
        for digest in _digests(report):
            owners.setdefault(digest, []).append(address)
    result = {}
    for address, report in sorted(reports.items()):
        known: Optional[Set[str]] = set(_digests(before[address])) if address in before else None
        layers = [
            {
                **layer,
                "shared_with": [a for a in owners[layer["digest"]] if a != address],
                "changed": None if known is None else layer["digest"] not in known,
            }
            for layer in report["layers"]
        ]
        result[address] = {**report, "layers": layers}
    return result


def _digests(report: Mapping[str, Any]) -> List[str]:
    return [layer["digest"] for layer in report["layers"]]


def render_table(images: Mapping[str, Mapping[str, Any]], width: int) -> str:
    """The images of ``describe_images`` as a table of ``width`` columns, the top layer first.

    Below 70 columns the table is wider than it should be.
    """
    parts = []
    for address, image in images.items():
        lines = [f"{address}  {', '.join(image['references'])}", f"{image['digest']}", ""]
        rows = [["", "layer", "size", "packed", "what is in it and why", "shared with"]]
        layers = image["layers"]
        for number in range(len(layers), 0, -1):
            rows.append(_row(number, layers[number - 1]))
        lines += _aligned(rows, width)
        changed = [layer for layer in layers if layer["changed"]]
        if any(layer["changed"] is not None for layer in layers):
            size = sum(layer["size"] for layer in changed)
            lines += ["", f"* changed since the last build: {len(changed)}, {decimal_size(size)}"]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _row(number: int, layer: Mapping[str, Any]) -> List[str]:
    names = [f"{m['name']} {m['version']}".strip() for m in layer["members"]]
    shown = ", ".join(names[:_MEMBERS_SHOWN])
    if len(names) > _MEMBERS_SHOWN:
        shown += f" and {len(names) - _MEMBERS_SHOWN} more"
    # A base image's layer has no members that we know of.
    what = f"{shown} ({layer['reason']})" if shown else layer["reason"]
    return [
        f"{number}{'*' if layer['changed'] else ''}",
        layer["digest"].partition(":")[2][:_DIGEST_SHOWN],
        decimal_size(layer["uncompressed_size"]) if layer["uncompressed_size"] else "",
        decimal_size(layer["size"]),
        what,
        ", ".join(layer["shared_with"]) or "-",
    ]


def _aligned(rows: List[List[str]], width: int) -> List[str]:
    """Columns side by side; the widest text is cut where a row would be too long."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    excess = sum(widths) + 2 * (len(widths) - 1) - width
    for column in (5, 4):
        if excess > 0:
            taken = min(excess, max(0, widths[column] - 12))
            widths[column] -= taken
            excess -= taken
    lines = []
    for row in rows:
        cells = [_cut(cell, size) for cell, size in zip(row, widths)]
        aligned = [
            cell.rjust(size) if column in (0, 2, 3) else cell.ljust(size)
            for column, (cell, size) in enumerate(zip(cells, widths))
        ]
        lines.append("  ".join(aligned).rstrip())
    return lines


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
