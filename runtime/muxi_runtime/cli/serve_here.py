"""Run the runtime in this process: hold the home, set up logging, serve until told to end."""

from __future__ import annotations

import gc
import logging
import os
import sys
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path

import anyio

from muxi_runtime.app import serve
from muxi_runtime.config import Settings
from muxi_runtime.setup.home import hold_home, logs_folder, prepare_home

__all__ = ["serve_here"]

COLLECT_AFTER = (20_000, 10, 10)
LOG_BYTES = 5 * 2**20
LOG_FILES = 3
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def serve_here(settings: Settings, *, log_file: bool) -> None:
    """Until SIGTERM or SIGINT.

    Args:
        settings: of the whole runtime.
        log_file: write to `<home>/logs/runtime.log` (20 MiB in four files at most) instead of standard error.

    Raises:
        SetupError: another runtime uses this home, or the port is taken.
        SandboxError: no engine answers.
    """
    prepare_home(settings.home)
    # Not a folder that someone may want to unmount or delete, and files made here are private from the start.
    os.chdir("/")
    os.umask(0o077)
    _log_to(logs_folder(settings.home) / "runtime.log" if log_file else None)
    # What is loaded by now stays; and a call makes more objects than Python would let pass between two collections.
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    with hold_home(settings.home) as answers_at:
        anyio.run(partial(serve, settings, ready=answers_at))


def _log_to(path: Path | None) -> None:
    output: logging.Handler = logging.StreamHandler(sys.stderr)
    if path is not None:
        output = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
    logging.basicConfig(level=logging.INFO, format=FORMAT, handlers=[output])
    logging.captureWarnings(capture=True)
    # Their routine would push out what matters.
    for noisy in ("alembic", "docker", "httpcore2", "httpx2", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
