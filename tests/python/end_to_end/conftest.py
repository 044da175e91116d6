"""Fixtures: a built demo image, and checkouts to change."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from end_to_end.browser import Browser
from end_to_end.pants_checkout import PantsCheckout
from end_to_end.parity_images import Engine
from end_to_end.runtimes import Docker, Podman
from end_to_end.tools import require


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> PantsCheckout:
    """A checkout with ``app:image`` built. Tests must not change it."""
    checkout = PantsCheckout(tmp_path_factory.mktemp("built") / "checkout")
    checkout.run("package", "app:image")
    return checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[PantsCheckout]:
    yield PantsCheckout(tmp_path / "checkout")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PantsCheckout]:
    """One checkout for all cases: each has a folder of its own."""
    checkout = PantsCheckout(tmp_path_factory.mktemp("repository") / "checkout", daemon=True)
    yield checkout
    checkout.stop()


@pytest.fixture
def podman() -> Iterator[Podman]:
    engine = Podman()
    yield engine
    engine.remove()


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[Docker]:
    engine = Docker(tmp_path)
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    started = Engine(tmp_path_factory.mktemp("engine"))
    yield started
    started.stop()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    require("chromium")
    started = Browser(tmp_path_factory.mktemp("browser") / "profile")
    yield started
    started.close()
