"""Numbers that describe an image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, List

import numpy as np
from PIL import Image

from imaging.loading import to_array

# ITU-R BT.709 luma coefficients.
_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


@dataclass(frozen=True)
class Statistics:
    """``brightness`` and ``contrast`` are mean and standard deviation of luma, ``entropy`` is in
    bits per pixel, ``sharpness`` the mean magnitude of luma's gradient."""

    width: int
    height: int
    brightness: float
    contrast: float
    entropy: float
    sharpness: float
    dominant_colour: str

    def to_json(self) -> Dict[str, Any]:
        return asdict(self)


def luma(image: Image.Image) -> np.ndarray:
    result: np.ndarray = to_array(image) @ _LUMA
    return result


def histogram(image: Image.Image, bins: int = 32) -> Dict[str, List[int]]:
    """How many pixels fall into each of ``bins`` equal ranges, for each channel."""
    pixels = to_array(image)
    return {
        name: np.histogram(pixels[..., channel], bins=bins, range=(0.0, 1.0))[0].tolist()
        for channel, name in enumerate(("red", "green", "blue"))
    }


def statistics(image: Image.Image) -> Statistics:
    values = luma(image)
    counts, _ = np.histogram(values, bins=256, range=(0.0, 1.0))
    shares = counts[counts > 0] / values.size
    return Statistics(
        width=image.width,
        height=image.height,
        brightness=round(float(values.mean()), 4),
        contrast=round(float(values.std()), 4),
        entropy=round(abs(float(-(shares * np.log2(shares)).sum())), 4),
        sharpness=round(_sharpness(values), 4),
        dominant_colour=dominant_colour(image),
    )


def _sharpness(values: np.ndarray) -> float:
    if min(values.shape) < 2:
        return 0.0
    vertical, horizontal = np.gradient(values)
    return float(np.hypot(vertical, horizontal).mean())


def dominant_colour(image: Image.Image) -> str:
    """The mean of the fullest cell of a coarse colour cube, as ``#rrggbb``."""
    small = image.convert("RGB").resize((64, 64))
    pixels = np.asarray(small, dtype=np.int64).reshape(-1, 3)
    cells = (pixels // 32) @ np.array([64, 8, 1])
    fullest = np.bincount(cells).argmax()
    red, green, blue = pixels[cells == fullest].mean(axis=0).round().astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"
