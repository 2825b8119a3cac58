"""Fixtures that every test may use: a real engine and real images."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def engine_socket() -> Path:
    """The socket of the container engine; tests need a real one and fail without it."""
    socket = Path("/var/run/docker.sock")
    assert socket.exists(), "no container engine answers: run `make up` first"
    return socket


@pytest.fixture(scope="session")
def python_image(engine_socket: Path) -> str:
    """An image with python3, numpy, pandas, matplotlib, PIL, nodejs and bash."""
    return "t-code"
