"""A real registry, and one behind a proxy that misbehaves where a test says so."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from registries.fault_proxy import FaultProxy
from registries.server import DockerRegistry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path / "registry") as started:
        yield started


@pytest.fixture
def proxy(registry: DockerRegistry) -> Iterator[FaultProxy]:
    with FaultProxy(registry.host) as started:
        yield started
