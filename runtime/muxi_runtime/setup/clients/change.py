"""Setting up a client, and undoing it: first the change as a whole, to be shown or written, never half of it.

Above: the command. Below: `file` and `texts`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muxi_runtime.errors import RefusedError
from muxi_runtime.setup.clients.entry import leads_here
from muxi_runtime.setup.clients.errors import ClientFileError, NotEditableError
from muxi_runtime.setup.clients.file import ClientFile
from muxi_runtime.setup.clients.known import Client
from muxi_runtime.setup.clients.texts import State, covers

__all__ = ["Change", "plan_add", "plan_remove", "state_of"]


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of a file.

    Attributes:
        outcome: `added`, `replaced`, `removed`, or `unchanged`.
        text: what the file is to say.
    """

    outcome: str
    file: ClientFile
    text: str

    @property
    def diff(self) -> str:
        """The change as a unified diff; empty if there is none."""
        name = str(self.file.path)
        before, after = self.file.text.splitlines(keepends=True), self.text.splitlines(keepends=True)
        lines = difflib.unified_diff(before, after, name if self.file.content is not None else "/dev/null", name)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def write(self) -> Path | None:
        """Do it; where the former content is kept, if there was any.

        Raises:
            ClientFileError: the file cannot be written.
        """
        return self.file.write(self.text) if self.outcome != "unchanged" else None


def plan_add(client: Client, path: Path, name: str, entry: Mapping[str, Any], *, replace: bool) -> Change:
    """Set the client up.

    Raises:
        ClientFileError: its file cannot be read or edited.
        RefusedError: another entry has that name, and `replace` is not wanted.
    """
    file = ClientFile.read(path)
    try:
        client.format.check(file.text)
        there = client.format.found(file.text, client.section, name)
        if there == entry or (covers(there, entry) and not replace):
            return Change("unchanged", file, file.text)
        if there is not None and not replace:
            raise RefusedError(
                f"{path} has another entry named {name!r}.",
                remedy="Look at it with --dry-run --replace, overwrite it with --replace, or take another --name.",
            )
        text = client.format.with_entry(file.text, client.section, name, entry)
    except NotEditableError as error:
        raise ClientFileError(
            f"{path} was left as it is: {error}.",
            remedy="Correct it, or put the entry in yourself: the same command with --print shows it.",
        ) from error
    return Change("added" if there is None else "replaced", file, text)


def plan_remove(client: Client, path: Path, name: str) -> Change:
    """Undo it.

    Raises:
        ClientFileError: its file cannot be read or edited.
        RefusedError: the entry of that name leads elsewhere.
    """
    file = ClientFile.read(path)
    try:
        client.format.check(file.text)
        there = client.format.found(file.text, client.section, name)
        if there is None:
            return Change("unchanged", file, file.text)
        if not leads_here(there):
            raise RefusedError(
                f"The entry {name!r} of {path} does not lead to a muxi-runtime.",
                remedy="Take it out yourself if it is not wanted.",
            )
        return Change("removed", file, client.format.without_entry(file.text, client.section, name))
    except NotEditableError as error:
        raise ClientFileError(
            f"{path} was left as it is: {error}.",
            remedy=f"Correct it, or take the entry {name!r} out of its {client.section!r} yourself.",
        ) from error


def state_of(client: Client, path: Path, name: str, *entries: Mapping[str, Any]) -> State:
    """How the client is set up now, against the entries that would do.

    Raises:
        ClientFileError: its file cannot be read.
    """
    file = ClientFile.read(path)
    try:
        there = client.format.found(file.text, client.section, name)
    except NotEditableError as error:
        raise ClientFileError(f"{path} cannot be understood: {error}.", remedy="Correct it.") from error
    if there is None:
        return State.ABSENT
    return State.SAME if any(covers(there, entry) for entry in entries) else State.OTHER
