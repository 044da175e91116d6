"""Provenance of images, read by in-toto's own messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest

from strata.supply_chain.facts import BaseOrigin, ImageFacts, Origin
from supply_chain.validators import is_valid, run_strata, validate

INDEX, AMD64, ARM64 = ("sha256:" + digit * 64 for digit in "123")


def image(digest: str, architecture: str, variant: str = "") -> Dict[str, Any]:
    layer = f"sha256:{digest[7:9] * 32}"
    described = ImageFacts(
        "demo:image",
        "demo",
        digest,
        architecture,
        variant,
        "2001-02-03T04:05:06Z",
        [
            {
                "digest": layer,
                "diff_id": layer,
                "members": [
                    {"name": "python:flask", "version": "3.0", "dir_hash": "c" * 64},
                    {"name": "source:web", "version": "", "dir_hash": "d" * 64},
                ],
            }
        ],
        {
            layer: {
                "python:flask": Origin(
                    "pypi", "flask", sha256="a" * 64, file_name="flask-3.0-py3-none-any.whl"
                ).to_json(),
                "source:web": Origin(address="src/web:web").to_json(),
            }
        },
        {},
        {},
        [BaseOrigin("base:archive", sha256="b" * 64).to_json()],
    )
    return described.to_json()


def write(folder: Path, **changes: Any) -> Dict[str, Any]:
    spec = {
        "name": "demo",
        "digest": INDEX,
        "images": [image(AMD64, "amd64"), image(ARM64, "arm64", "v8")],
        "parameters": {"target": "demo:image"},
        "builder": "https://ci.example/x",
        "versions": {"strata": "1"},
        **changes,
    }
    written = run_strata(folder, "provenance", spec)
    validate("provenance", folder / "out.json")
    return written


def test_a_statement_is_about_the_index_and_its_images(tmp_path: Path) -> None:
    assert write(tmp_path)["subject"] == [
        {"name": "demo", "digest": {"sha256": "1" * 64}},
        {"name": "demo (amd64)", "digest": {"sha256": "2" * 64}},
        {"name": "demo (arm64/v8)", "digest": {"sha256": "3" * 64}},
    ]


def test_what_several_images_have_is_named_once(tmp_path: Path) -> None:
    statement = write(tmp_path)
    assert statement["predicate"]["buildDefinition"]["resolvedDependencies"] == [
        {
            "name": "base:archive",
            "digest": {"sha256": "b" * 64},
            "annotations": {"address": "base:archive"},
        },
        {
            "name": "flask-3.0-py3-none-any.whl",
            "uri": "pkg:pypi/flask@3.0",
            "digest": {"sha256": "a" * 64},
        },
        {
            "name": "source:web",
            "digest": {"dirHash": "d" * 64},
            "annotations": {"address": "src/web:web"},
        },
    ]


@pytest.mark.parametrize("gone", ["subject", "predicateType", "_type"])
def test_the_validator_refuses_what_is_incomplete(tmp_path: Path, gone: str) -> None:
    changed = json.loads(write(tmp_path)[""])
    del changed[gone]
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    assert not is_valid("provenance", tmp_path / "changed.json")
