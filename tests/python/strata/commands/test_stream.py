"""Streaming an archive: what is read, how often, and what is not done at all."""

from __future__ import annotations

import builtins
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any, List

import pytest

from strata.commands import archive
from strata.errors import StrataError
from strata.oci.image import ImageLayer, ImageSettings, build_image


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    content = b"layer" * 100_000
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    layer = ImageLayer(digest, len(content), digest, len(content), "layer")
    image = build_image(ImageSettings("app", ("1",)), [layer])
    for name, data in {**image.files, f"blobs/{digest.replace(':', '/')}": content}.items():
        path = tmp_path / "layout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "layout"


def test_every_file_is_read_once_and_nothing_is_hashed(
    layout: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: Any
) -> None:
    opened: List[str] = []
    real = builtins.open

    def counting(file: Any, *arguments: Any, **keywords: Any) -> Any:
        opened.append(str(file))
        return real(file, *arguments, **keywords)

    def refuse(*_: Any) -> None:
        raise AssertionError("a stream hashes nothing")

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "open", counting)
        for name in ("sha256", "md5", "new"):
            patched.setattr(hashlib, name, refuse)
        assert archive.main([str(layout), "none"]) == 0
    files = sorted(str(path) for path in layout.rglob("*") if path.is_file())
    assert sorted(name for name in opened if name.startswith(str(layout))) == files
    with tarfile.open(fileobj=io.BytesIO(capsysbinary.readouterr().out)) as members:
        sizes = [member.size for member in members]
    # A reader knows what it gets before the layers arrive.
    assert len(sizes) == len(files) and sizes[-1] == max(sizes) == 500_000


def test_other_names(layout: Path, capsysbinary: Any) -> None:
    names = ["--repo-tag", "localhost:5000/Team/x:2", "--repo-tag", "y"]
    assert archive.main([str(layout), "none", *names]) == 0
    with tarfile.open(fileobj=io.BytesIO(capsysbinary.readouterr().out)) as members:
        text = members.extractfile("manifest.json")
        assert text is not None
        (manifest,) = json.load(text)
    assert manifest["RepoTags"] == ["localhost:5000/team/x:2", "y:latest"]


@pytest.mark.parametrize("name", ["a b", "x:ba d", ""])
def test_names_that_are_none(layout: Path, name: str) -> None:
    with pytest.raises(StrataError, match="is not a"):
        archive.main([str(layout), "none", "--repo-tag", name])


def test_terminals_are_spared(layout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdout", Terminal())
    with pytest.raises(StrataError, match="not writing an archive to a terminal"):
        archive.main([str(layout), "none"])
