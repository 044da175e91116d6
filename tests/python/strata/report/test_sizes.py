"""Sizes have three or four figures and a unit."""

from __future__ import annotations

import pytest

from strata.report.sizes import decimal_size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (20_140, "20.1 kB"),
        (65_465_339, "65.5 MB"),
        (3_200_000_000, "3.2 GB"),
        (4_500_000_000_000, "4500.0 GB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert decimal_size(count) == text
