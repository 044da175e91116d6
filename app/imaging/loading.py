"""From bytes to pixels, with limits."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from common.errors import ImageError


def load_image(data: bytes, max_pixels: int) -> Image.Image:
    """Raises ImageError if ``data`` is no image or unpacks to more than ``max_pixels``."""
    try:
        image = Image.open(io.BytesIO(data))
        width, height = image.size
        if width * height > max_pixels:
            raise ImageError(f"{width}×{height} is more than {max_pixels} pixels")
        image.load()
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ImageError(f"not an image that can be read: {error}") from error
    return image


def to_array(image: Image.Image) -> np.ndarray:
    """Pixels as floats from 0 to 1, with shape (height, width, 3)."""
    return np.asarray(image.convert("RGB"), dtype=np.float32) / 255.0
