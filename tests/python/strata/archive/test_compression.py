"""Encoders: what they write is what real decoders read, and depends on the input alone."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import List

import pytest

from strata.archive.compression import ENCODERS, Compression, encoder
from strata.archive.entry import Entry, FileRange
from strata.archive.writer import CHUNK, write_layer

COMPRESSIONS = list(Compression)


def text(size: int, seed: int = 1) -> bytes:
    """Content that compresses, as programs do."""
    source = random.Random(seed)
    words = [source.randbytes(source.randrange(3, 12)) for _ in range(500)]
    return b"".join(source.choices(words, k=size // 7 + 1))[:size]


def encoded(compression: Compression, content: bytes, chunk: int = CHUNK) -> bytes:
    encode, finish = encoder(compression)
    view = memoryview(content)
    parts = [encode(view[i : i + chunk]) for i in range(0, len(view), chunk)]
    return b"".join([*parts, finish()])


@pytest.mark.parametrize(
    ("compression", "media_type"),
    [
        (Compression.NONE, "application/vnd.oci.image.layer.v1.tar"),
        (Compression.GZIP, "application/vnd.oci.image.layer.v1.tar+gzip"),
        (Compression.ZSTD, "application/vnd.oci.image.layer.v1.tar+zstd"),
    ],
)
def test_media_types_are_those_of_the_specification(
    compression: Compression, media_type: str
) -> None:
    assert compression.media_type == media_type


def test_every_compression_has_a_pinned_encoder() -> None:
    assert set(ENCODERS) == {compression.value for compression in Compression}


@pytest.mark.parametrize("size", [0, 1, 5000, CHUNK, CHUNK + 1])
@pytest.mark.parametrize(
    ("compression", "program"), [(Compression.GZIP, "gzip"), (Compression.ZSTD, "zstd")]
)
def test_programs_decompress_what_encoders_write(
    tmp_path: Path, compression: Compression, program: str, size: int
) -> None:
    if shutil.which(program) is None:
        if os.environ.get("STRATA_REQUIRE_TOOLS"):
            pytest.fail(f"needs {program}")
        pytest.skip(f"needs {program}")
    content = text(size)
    data = encoded(compression, content)
    process = subprocess.run([program, "-dc"], input=data, capture_output=True, check=True)
    assert process.stdout == content
    assert len(data) < len(content) or size < 100
    # Both formats end with a checksum, which decoders hold the content against.
    damaged = data[:-4] + bytes([data[-4] ^ 1]) + data[-3:]
    process = subprocess.run([program, "-dc"], input=damaged, capture_output=True, check=False)
    assert process.returncode != 0


def test_gzip_trailer_is_checksum_and_length() -> None:
    content = text(3 * CHUNK + 5)
    data = encoded(Compression.GZIP, content)
    assert data[-8:-4] == zlib.crc32(content).to_bytes(4, "little")
    assert data[-4:] == len(content).to_bytes(4, "little")
    assert gzip.decompress(data) == content


def test_empty_input_is_a_whole_stream() -> None:
    assert encoded(Compression.NONE, b"") == b""
    assert gzip.decompress(encoded(Compression.GZIP, b"")) == b""
    assert encoded(Compression.ZSTD, b"")[:4] == b"\x28\xb5\x2f\xfd"


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_encoders_share_no_state(compression: Compression) -> None:
    one, two = text(2 * CHUNK, 1), text(2 * CHUNK, 2)
    alone = [encoded(compression, one), encoded(compression, two)]
    first, second = encoder(compression), encoder(compression)
    together: "List[bytes]" = [b"", b""]
    for start in (0, CHUNK):
        together[0] += first.encode(memoryview(one)[start : start + CHUNK])
        together[1] += second.encode(memoryview(two)[start : start + CHUNK])
    together[1] += second.finish()
    together[0] += first.finish()
    assert together == alone


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_layers_reach_encoders_in_chunks_of_one_size(
    tmp_path: Path, compression: Compression
) -> None:
    """However a layer's bytes are spread over files, its blob is the encoding of its tar."""
    content = text(3 * CHUNK)
    source = random.Random(5)
    cuts = sorted(source.sample(range(len(content)), 40))
    (tmp_path / "content").write_bytes(content)
    entries = []
    for index, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(content)])):
        part = FileRange(tmp_path / "content", end - start, start)
        in_memory = content[start:end]
        entries.append(Entry(f"f{index:03}", content=part if index % 2 else in_memory))
    blob = write_layer(entries, tmp_path / "blob", compression, mtime=1)
    plain = write_layer(entries, tmp_path / "plain", Compression.NONE, mtime=1)
    assert blob.diff_id == plain.digest
    tar = (tmp_path / "plain").read_bytes()
    assert (tmp_path / "blob").read_bytes() == encoded(compression, tar)


_HELD_BACK = """
import sys
sys.modules["isal"] = sys.modules["zstandard"] = None
from strata.archive.compression import Compression, encoder
from strata.errors import StrataError
encoder(Compression.NONE)
for compression in (Compression.GZIP, Compression.ZSTD):
    try:
        encoder(compression)
    except StrataError as error:
        print(error)
"""


def test_a_missing_library_is_named() -> None:
    process = subprocess.run(
        [sys.executable, "-c", _HELD_BACK],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
    )
    gzip_message, zstd_message = process.stdout.splitlines()
    assert gzip_message.startswith("compression 'gzip' needs isal==")
    assert zstd_message.startswith("compression 'zstd' needs zstandard==")
    assert gzip_message.endswith("choose compression 'none'.")


def test_unknown_compressions_have_no_encoder() -> None:
    with pytest.raises(ValueError, match="'brotli'"):
        Compression("brotli")


_OTHER_PROCESS = """
import hashlib, sys
from strata.archive.compression import Compression, encoder
content = sys.stdin.buffer.read()
encode, finish = encoder(Compression(sys.argv[1]))
data = b"".join(encode(memoryview(content)[i:i + (1 << 20)]) for i in range(0, len(content), 1 << 20))
print(hashlib.sha256(data + finish()).hexdigest())
"""  # noqa: E501


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_processes_with_other_settings_write_the_same(compression: Compression) -> None:
    """Threads, locale, time zone and hash seed are in no byte."""
    content = text(5 * CHUNK // 2)
    expected = hashlib.sha256(encoded(compression, content)).hexdigest()
    for settings in (
        {"OMP_NUM_THREADS": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "1"},
        {"ZSTD_NBTHREADS": "8", "TZ": "America/Lima", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2"},
    ):
        process = subprocess.run(
            [sys.executable, "-c", _OTHER_PROCESS, compression.value],
            env={"PYTHONPATH": ":".join(sys.path), **settings},
            input=content,
            capture_output=True,
            check=True,
        )
        assert process.stdout.decode().strip() == expected
