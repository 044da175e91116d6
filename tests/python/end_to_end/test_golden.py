"""The listing of every layer of a small, fixed image.

A change of layer bytes shows up here as a diff to review. To write the listings anew, run this test
with STRATA_UPDATE_GOLDEN=1 as plain pytest.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import List

from end_to_end.pants_checkout import PantsCheckout

_GOLDEN = Path(__file__).parent / "golden" / "layers.txt"
_BUILD = """
python_sources(resolve="app", interpreter_constraints=["CPython>=3.9,<3.13"])

pex_binary(
    name="hello",
    entry_point="hello.py:main",
    resolve="app",
    interpreter_constraints=["CPython>=3.9,<3.13"],
    complete_platforms=["app:platform"],
    args=["--fixed"],
    env={"GREETING": "hello"},
)

files(name="notes", sources=["notes.txt"])
image_files(name="placed", files=[":notes"], destination="/etc/notes")
image_directory(name="spool", path="/var/spool/hello", mode="2770", owner="7:8")
image_symlink(name="link", path="/etc/link", target="notes/notes.txt")

layered_image(
    name="image",
    contents=[":hello", ":placed", ":spool", ":link", "app:os", "app:users"],
    config={"Entrypoint": [":hello"]},
    compression="none",
    layering="popularity",
    uid=3,
    gid=4,
    owners=[{"paths": "etc/notes/*", "mode": "0640", "capabilities": "cap_kill+ep"}],
)
"""
#: Of other Debian packages only the number of entries and a hash of their lines are listed: enough
#: to see that a layer changed, and these show how.
_LISTED = ("debian:media-types", "debian:zlib1g")


def listing(archive: Path, members: List[List[str]]) -> str:
    lines = []
    with tarfile.open(archive) as image:
        text = image.extractfile("manifest.json")
        assert text is not None
        (manifest,) = json.load(text)
        for path, names in zip(manifest["Layers"], members):
            lines.append(f"== {', '.join(names)}")
            layer = image.extractfile(path)
            assert layer is not None
            with tarfile.open(fileobj=layer) as entries:
                found = [_line(entries, entry) for entry in entries]
            if names[0].startswith("debian:") and names[0] not in _LISTED:
                digest = hashlib.sha256("\n".join(found).encode()).hexdigest()
                found = [f"{len(found)} entries {digest[:32]}"]
            lines += found
    return "\n".join(lines) + "\n"


def _line(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    kind = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.LNKTYPE: "h"}.get(entry.type, "f")
    text = f"{kind} {entry.mode:04o} {entry.uid}:{entry.gid} {entry.size:>7} {entry.name}"
    if entry.linkname:
        text += f" -> {entry.linkname}"
    records = sorted(entry.pax_headers)
    if records:
        text += f" [{', '.join(records)}]"
    if kind == "f" and entry.mtime == 1:
        content = archive.extractfile(entry)
        assert content is not None
        text += f" {hashlib.sha256(content.read()).hexdigest()[:12]}"
    return text


def test_listing_is_the_golden_one(checkout: PantsCheckout) -> None:
    checkout.write("app/golden/BUILD", _BUILD)
    checkout.write("app/golden/hello.py", 'def main():\n    print("hello")\n')
    checkout.write("app/golden/notes.txt", "notes\n")
    checkout.run("package", "app/golden:image")
    report = checkout.report("app.golden/image")
    members = [[member["name"] for member in layer["members"]] for layer in report["layers"]]
    found = listing(checkout.archive("app.golden/image"), members)
    if os.environ.get("STRATA_UPDATE_GOLDEN"):
        _GOLDEN.parent.mkdir(exist_ok=True)
        _GOLDEN.write_text(found)
    assert found == _GOLDEN.read_text()
