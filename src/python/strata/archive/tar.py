"""Tar framing: POSIX.1-2017 ustar headers, with pax records only for what ustar cannot hold.

Written by hand, not with ``tarfile``, because layer bytes are part of the product: they must not
change with the Python version, and a header costs about two microseconds here.
"""

from __future__ import annotations

from typing import List, Optional, Tuple

from strata.archive.entry import Entry

BLOCK = 512
#: Two blocks of zeroes end an archive.
END_OF_ARCHIVE = bytes(2 * BLOCK)
_LARGEST_ID = 0o7777777
_LARGEST_NUMBER = 0o77777777777
_MAGIC = b"ustar\x0000"


def padding(size: int) -> int:
    """How many zero bytes follow ``size`` bytes of content."""
    return -size % BLOCK


def encode_header(entry: Entry, mtime: int) -> bytes:
    """The header blocks of one entry: pax records if it needs any, then its ustar header.

    ``mtime`` is in seconds since the epoch and may be negative or beyond 2242, at the price of a
    pax record.
    """
    name = entry.path.encode() + (b"/" if entry.is_directory else b"")
    link = entry.link.encode()
    records: List[Tuple[bytes, bytes]] = []

    split = _split_name(name) if name.isascii() else None
    if split is None:
        records.append((b"path", name))
        split = (b"", _ascii(name)[:100])
    if len(link) > 100 or not link.isascii():
        records.append((b"linkpath", link))
        link = _ascii(link)[:100]

    uid, gid, size = entry.uid, entry.gid, entry.size
    if uid > _LARGEST_ID:
        records.append((b"uid", b"%d" % uid))
        uid = 0
    if gid > _LARGEST_ID:
        records.append((b"gid", b"%d" % gid))
        gid = 0
    if size > _LARGEST_NUMBER:
        records.append((b"size", b"%d" % size))
        size = 0
    stamp = mtime
    if not 0 <= mtime <= _LARGEST_NUMBER:
        records.append((b"mtime", b"%d" % mtime))
        stamp = 0
    uname, gname = entry.uname.encode(), entry.gname.encode()
    for field, owner in ((b"uname", uname), (b"gname", gname)):
        # The field ends with a NUL, and readers disagree about the encoding of what is not ASCII.
        if len(owner) > 31 or not owner.isascii():
            records.append((field, owner))
    for key, value in entry.xattrs.items():
        records.append((b"SCHILY.xattr." + key.encode(), value))

    device = b"%07o\0%07o\0" % (entry.device or (0, 0))
    flag = entry.type.value.encode()
    names = _ascii(uname)[:31].ljust(32, b"\0") + _ascii(gname)[:31].ljust(32, b"\0")
    header = _ustar(split, entry.mode, uid, gid, size, stamp, flag, link, device, names)
    return _pax_header(records, stamp) + header if records else header


def _ustar(
    name: Tuple[bytes, bytes],
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    flag: bytes,
    link: bytes,
    device: bytes,
    names: bytes = bytes(64),
) -> bytes:
    start = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name[1].ljust(100, b"\0"),
        mode,
        uid,
        gid,
        size,
        mtime,
    )
    # Owner names are empty unless somebody wants them: they would be looked up on the machine that
    # unpacks the layer.
    end = b"%b%b%b%b%b%b" % (
        flag,
        link.ljust(100, b"\0"),
        _MAGIC,
        names,
        device,
        name[0].ljust(167, b"\0"),
    )
    # The checksum counts its own field as eight spaces.
    checksum = sum(start) + sum(end) + 8 * 0x20
    return b"%b%06o\0 %b" % (start, checksum, end)


def _split_name(name: bytes) -> Optional[Tuple[bytes, bytes]]:
    """``name`` as ustar's prefix and name fields, or None if it does not fit."""
    if len(name) <= 100:
        return b"", name
    if len(name) > 256:
        return None
    # The name field should be as long as it can be: the first slash that leaves at most 100.
    cut = name.find(b"/", len(name) - 101, 156)
    if cut <= 0 or cut == len(name) - 1:
        return None
    return name[:cut], name[cut + 1 :]


def _ascii(name: bytes) -> bytes:
    return name.decode().encode("ascii", "replace")


def _pax_header(records: List[Tuple[bytes, bytes]], mtime: int) -> bytes:
    """An extended header (type flag ``x``) with ``records`` sorted by keyword."""
    body = b"".join(_pax_record(key, value) for key, value in sorted(records))
    header = _ustar((b"", b"././@PaxHeader"), 0o644, 0, 0, len(body), mtime, b"x", b"", _NO_DEVICE)
    return header + body + bytes(padding(len(body)))


_NO_DEVICE = b"0000000\x000000000\0"


def _pax_record(key: bytes, value: bytes) -> bytes:
    """``"%d %s=%s\\n"``, where the number counts the whole record with itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if rest + len(str(length)) != length:
        length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)
