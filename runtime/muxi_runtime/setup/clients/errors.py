"""What can go wrong with a client's configuration file.

ConfigError
└── ClientFileError    the file cannot be read or written, or is not to be touched; carries what to do by hand
NotEditableError       a text cannot be edited in place; becomes a ClientFileError where the file is known
"""

from __future__ import annotations

from muxi_runtime.errors import ConfigError

__all__ = ["ClientFileError", "NotEditableError"]


class ClientFileError(ConfigError):
    """A client's configuration file was left as it is."""


class NotEditableError(Exception):
    """Why a text cannot be edited, as the end of a sentence; it repeats nothing of the text, which may hold secrets."""
