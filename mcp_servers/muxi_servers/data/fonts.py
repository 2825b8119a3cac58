"""Matplotlib keeps a list of fonts in a folder that it can write to: not to be had once the process is sealed."""

from __future__ import annotations

import os
from shutil import copytree

__all__ = ["load_fonts"]

_MADE = "/usr/local/share/muxi/matplotlib"  # made when the image is built


def load_fonts() -> None:
    """Import what reads the list, with the image's own in place."""
    folder = os.environ.get("MPLCONFIGDIR", "")
    if folder and os.path.isdir(_MADE) and not os.path.isdir(folder):
        copytree(_MADE, folder, dirs_exist_ok=True)
    import matplotlib.font_manager  # noqa: F401, PLC0415 - for what it does when it is imported
