"""What is done to the text of a client's file, whatever its format: one entry put in or taken out, or a reason why not.

Below: `json_edit` and `toml_edit`. Above: `change`, which knows files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from muxi_runtime.setup.clients.errors import NotEditableError

__all__ = ["Format", "State", "covers"]


class State(StrEnum):
    """How an entry stands in a file, against the one that is wanted."""

    ABSENT = "no"
    SAME = "yes"
    OTHER = "differs"


@dataclass(frozen=True, slots=True)
class Format:
    """The editor of one format.

    Attributes:
        plain: the client reads JSON without comments and trailing commas, and nothing of a file that has them.
    """

    found: Callable[[str, str, str], Any | None]
    snippet: Callable[[str, str, Mapping[str, Any]], str]
    with_entry: Callable[[str, str, str, Mapping[str, Any]], str]
    without_entry: Callable[[str, str, str], str]
    plain: bool = False

    def check(self, text: str) -> None:
        """See that the client itself can read the text.

        Raises:
            NotEditableError: it cannot.
        """
        if not self.plain or not text.strip():
            return
        try:
            json.loads(text)
        except (ValueError, RecursionError) as error:
            where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "it"
            raise NotEditableError(f"{where} is not as JSON has it, and the client reads nothing else") from error


def covers(there: object, wanted: object) -> bool:
    """Whether an entry says all that is wanted; it may say more, such as a time-out that the user has set."""
    if isinstance(there, dict) and isinstance(wanted, dict):
        return all(name in there and covers(there[name], value) for name, value in wanted.items())
    return there == wanted
