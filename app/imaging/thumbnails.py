"""Small versions of images."""

from __future__ import annotations

import io

from PIL import Image, ImageOps

from common.errors import ImageError

SMALLEST, LARGEST = 8, 1024


def thumbnail(image: Image.Image, size: int) -> bytes:
    """A PNG that fits into ``size`` × ``size`` pixels, turned as its camera said.

    Raises ImageError for a size out of bounds.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ImageError(f"size must be from {SMALLEST} to {LARGEST}, not {size}")
    turned = ImageOps.exif_transpose(image) or image
    small = turned.convert("RGB")
    small.thumbnail((size, size), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, format="PNG", optimize=True)
    return out.getvalue()
