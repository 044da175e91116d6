"""One pass over the bytes: digests, encoders, memory."""

from __future__ import annotations

import gzip
import hashlib
import random
import subprocess
import sys
from pathlib import Path

import pytest

from strata.archive.compression import Compression
from strata.archive.entry import Entry, EntryType, FileRange
from strata.archive.writer import CHUNK, relinked, write_layer
from strata.errors import StrataError


def plain_of(path: Path, compression: Compression) -> bytes:
    if compression is Compression.GZIP:
        return gzip.decompress(path.read_bytes())
    if compression is Compression.ZSTD:
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(path.read_bytes()) as reader:
            return reader.read()
    return path.read_bytes()


@pytest.mark.parametrize("compression", list(Compression))
@pytest.mark.parametrize("size", [0, 1, CHUNK - 512, CHUNK, 3 * CHUNK + 17])
def test_digests_and_sizes_are_those_of_the_files(
    tmp_path: Path, compression: Compression, size: int
) -> None:
    content = random.Random(size).randbytes(size)
    blob = write_layer([Entry("f", content=content)], tmp_path / "blob", compression, mtime=1)
    path = tmp_path / "blob"
    data = path.read_bytes()
    assert blob.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert blob.size == len(data)
    plain = plain_of(path, compression)
    assert blob.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    assert blob.uncompressed_size == len(plain)


def test_empty_layer_is_two_blocks_of_zeroes(tmp_path: Path) -> None:
    write_layer([], tmp_path / "blob", Compression.NONE, mtime=1)
    assert (tmp_path / "blob").read_bytes() == bytes(1024)


def test_gzip_header_has_neither_time_nor_name(tmp_path: Path) -> None:
    write_layer([Entry("f")], tmp_path / "blob", Compression.GZIP, mtime=99)
    header = (tmp_path / "blob").read_bytes()[:10]
    assert header == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


#: What the pinned encoders make of a fixed layer. A change here is a change of every image.
GOLDEN = {
    Compression.NONE: "sha256:593e8d7fafd982cb20a1c5b063db76c3fb31e82fe37eb57ce5d101da5be7bf3f",
    Compression.GZIP: "sha256:6f763e5a6cabf06a3bbf69b93aa6b0d34ff8065c56afa3cfcf8732c79af706cf",
    Compression.ZSTD: "sha256:43a2d662cf0c23040b22f0ae9a8b87619c1111002b829cb3361619fa17c129a7",
}


@pytest.mark.parametrize("compression", list(Compression))
def test_encoders_give_the_bytes_they_always_gave(tmp_path: Path, compression: Compression) -> None:
    source = random.Random(1)
    words = [source.randbytes(8) for _ in range(300)]
    content = b"".join(source.choices(words, k=400_000))
    blob = write_layer([Entry("f", content=content)], tmp_path / "blob", compression, mtime=1)
    assert blob.digest == GOLDEN[compression]


@pytest.mark.parametrize("compression", list(Compression))
def test_content_from_memory_and_from_a_range_of_a_file_are_equal(
    tmp_path: Path, compression: Compression
) -> None:
    content = random.Random(2).randbytes(2 * CHUNK + 99)
    (tmp_path / "file").write_bytes(b"before" + content + b"after")
    ranged = Entry("f", content=FileRange(tmp_path / "file", len(content), 6))
    one = write_layer([ranged], tmp_path / "blob", compression, mtime=1)
    other = write_layer([Entry("f", content=content)], tmp_path / "blob", compression, mtime=1)
    assert one == other


def test_file_shorter_than_it_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    entry = Entry("f", content=FileRange(tmp_path / "file", 4))
    with pytest.raises(StrataError, match="'f' ended 1 bytes before its size"):
        write_layer([entry], tmp_path / "blob", Compression.NONE, mtime=1)


_BIG_LAYER = """
import resource, sys
from pathlib import Path
from strata.archive.compression import Compression
from strata.archive.entry import Entry, EntryType, FileRange
from strata.archive.writer import write_layer
folder = Path(sys.argv[1])
with open(folder / "big", "wb") as file:
    file.truncate(400 << 20)
write_layer([Entry("f", content=FileRange(folder / "big", 400 << 20))], folder / "blob",
            Compression(sys.argv[2]), 1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_memory_does_not_grow_with_the_layer(tmp_path: Path, compression: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", _BIG_LAYER, str(tmp_path), compression],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
    )
    kibibytes = int(process.stdout)
    assert kibibytes < 200 * 1024


def link(path: str, target: str) -> Entry:
    return Entry(path, EntryType.HARDLINK, link=target)


def test_hard_links_point_at_the_first_name() -> None:
    found = {
        entry.path: entry
        for entry in relinked(
            [
                Entry("m", mode=0o4755, uid=3, content=b"x", xattrs={"user.a": b"1"}),
                # A chain, and a name that sorts before the file's.
                link("z", "m"),
                link("b", "z"),
                Entry("other", content=b"y"),
            ]
        )
    }
    assert found["b"] == Entry("b", mode=0o4755, uid=3, content=b"x", xattrs={"user.a": b"1"})
    for name in ("m", "z"):
        assert (found[name].type, found[name].link) == (EntryType.HARDLINK, "b")
        # Some tools take a link's own header for the file's.
        assert (found[name].mode, found[name].uid, found[name].size) == (0o4755, 3, 0)
    assert found["other"] == Entry("other", content=b"y")


@pytest.mark.parametrize(
    "entries",
    [
        [link("a", "nowhere")],
        [link("a", "a")],
        [link("a", "b"), link("b", "a")],
        [link("a", "b"), link("b", "nowhere"), Entry("c")],
    ],
)
def test_hard_links_without_a_file(entries: "list[Entry]") -> None:
    with pytest.raises(StrataError, match="the hard link /[ab] points at nothing: /"):
        relinked(entries)
