"""The limits of one call, in one place. MiB are 2**20 bytes."""

from __future__ import annotations

__all__ = [
    "CHILD_MEMORY_MIB",
    "MAX_ANSWER_BYTES",
    "MAX_FILE_MIB",
    "MAX_PIXELS",
    "OCR_SECONDS",
    "READ_SECONDS",
    "WRITE_SECONDS",
]

MAX_FILE_MIB = 100
"""The largest document that is opened."""

MAX_PIXELS = 50_000_000
"""The largest picture that is decoded: 150 MiB in memory."""

CHILD_MEMORY_MIB = 768
"""Address space of the child and of each program that it starts."""

READ_SECONDS = 60
OCR_SECONDS = 300
WRITE_SECONDS = 120
"""Wall time of one call, and processor time of its child."""

MAX_ANSWER_BYTES = 12 * 2**20
"""What the child may answer."""
