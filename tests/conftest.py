"""Fixtures that every test may use: a real engine, real images, a running runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from running import Running, running_runtime

from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings

BESIDE = ("acceptance", "unit")
"""Folders whose tests may run beside those of all others. The others share names on the engine: one after the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Part the tests among two processes (`pytest -n 2 --dist loadgroup`)."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        item.add_marker(pytest.mark.xdist_group(folder if folder in BESIDE else "engine"))


@pytest.fixture(scope="session")
def engine_socket() -> Path:
    """The socket of the container engine; tests need a real one and fail without it."""
    socket = Path("/var/run/docker.sock")
    assert socket.exists(), "no container engine answers: run `make up` first"
    return socket


def built(engine_socket: Path, *names: str) -> tuple[str, ...]:
    """The references of images of this project, built first where they are missing: that may take minutes."""

    async def ensure() -> tuple[str, ...]:
        async with ImageStore(EngineSettings(socket=engine_socket)) as images:
            return tuple([await images.ensure(name, print) for name in names])

    return anyio.run(ensure)


@pytest.fixture(scope="session")
def python_image(engine_socket: Path) -> str:
    """An image with python3, numpy, pandas, matplotlib, PIL, nodejs and bash."""
    return built(engine_socket, "code")[0]


@pytest.fixture(scope="session")
def files_image(engine_socket: Path) -> str:
    """The image of the files and shell servers."""
    return built(engine_socket, "python")[0]


@pytest.fixture(scope="session")
def documents_images(engine_socket: Path) -> tuple[str, ...]:
    """Images of documents, files and code."""
    return built(engine_socket, "documents", "python", "code")


@pytest.fixture(scope="session")
def data_image(engine_socket: Path) -> str:
    """An image with DuckDB."""
    return built(engine_socket, "data")[0]


@pytest.fixture(scope="session")
def calculator_image(engine_socket: Path) -> str:
    """An image with SymPy."""
    return built(engine_socket, "calculator")[0]


@pytest.fixture(scope="session")
def browser_image(engine_socket: Path) -> str:
    """An image with Chromium."""
    return built(engine_socket, "browser")[0]


@pytest.fixture(scope="session")
def shared_runtime(tmp_path_factory: pytest.TempPathFactory, python_image: str) -> Iterator[Running]:
    """A runtime as `up` starts it, for tests that leave it as they found it."""
    del python_image
    with running_runtime(tmp_path_factory.mktemp("shared") / "home") as running:
        yield running
