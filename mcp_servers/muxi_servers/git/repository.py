"""A repository in the workspace, and git commands in it.

git takes its settings, hooks, refs and objects from a "common" folder. Here that is a folder of our own in /tmp: its
`config` is written by `settings.py`, it has no hooks, and `objects`, `refs` and the like are links into the real one.
So nothing that is in the repository's `.git/config`, or is put there while a command runs, is ever read.
"""

from __future__ import annotations

import os

from muxi_servers.git.hardening import NEW, NO_REPOSITORY, adopted, command, write_global
from muxi_servers.git.refusals import explain
from muxi_servers.git.settings import MAX_BYTES, safe_settings, write_settings
from muxi_servers.kit.errors import LaunchError, ToolError
from muxi_servers.kit.removal import TemporaryFolder
from muxi_servers.kit.report import explain_end
from muxi_servers.kit.watch import Limits, watch
from muxi_servers.kit.workspace import OsErrors, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from muxi_servers.git.settings import Key
    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.watch import Outcome
    from muxi_servers.kit.workspace import Workspace

__all__ = ["MAX_OUTPUT_BYTES", "Git", "NewRepository", "Repository"]

MAX_OUTPUT_BYTES = 4 * 2**20
_SECONDS = 120.0
_LINKED = ("objects", "refs", "packed-refs", "logs", "shallow", "info")


class Git:
    """Runs git with nobody's settings but ours, in an empty folder and for no repository: what only asks a host."""

    _where: tuple[str, ...] = NO_REPOSITORY

    def __init__(self, launcher: Launcher, call: Call) -> None:
        self._launcher = launcher
        self._call = call
        self._temporary = TemporaryFolder()

    def __enter__(self) -> Self:
        self._temporary.__enter__()
        try:
            self._global = write_global(self._temporary)
            self._folder = self._open_folder()
        except BaseException:
            self._temporary.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._folder)
        self._temporary.__exit__(*error)

    def _open_folder(self) -> int:
        """The folder that git runs in."""
        empty = f"{self._temporary.path}/empty"
        os.mkdir(empty, 0o700)
        return os.open(empty, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def run(self, *arguments: str, stdin: str = "", may_fail: bool = False, seconds: float = _SECONDS) -> str:
        """What the command says on standard output; with `may_fail` nothing if it fails.

        Raises:
            ToolError: it failed, was ended, or said more than can be kept.
        """
        outcome = self._watch(arguments, stdin, seconds)
        ended = explain_end(outcome)
        if ended != "exit":
            why = {"timeout": f"took longer than {seconds:g} s", "memory": "used up the sandbox's memory"}
            raise ToolError(f"git {arguments[0]} {why.get(ended, f'was ended ({ended})')}.")
        if outcome.status:
            if may_fail:
                return ""
            raise ToolError(explain(arguments[0], outcome.stderr.text()))
        if outcome.stdout.omitted:
            raise ToolError(f"git {arguments[0]} said {outcome.stdout.total} bytes, too much to keep: ask for less.")
        return outcome.stdout.text()

    def cut(self, limit: int, *arguments: str) -> tuple[str, bool]:
        """What the command says, at most `limit` bytes of it, and whether that is not all."""
        text = self.run(*arguments)
        data = text.encode()
        if len(data) <= limit:
            return text, False
        return data[:limit].decode("utf-8", "ignore"), True

    def _watch(self, arguments: tuple[str, ...], stdin: str, seconds: float) -> Outcome:
        argv = command(self._temporary, self._global, self._where, *arguments)
        try:
            program = self._launcher.start({"argv": argv}, folder=self._folder, temporary=self._temporary.path)
        except LaunchError as error:
            raise ToolError(str(error)) from None
        with program:
            return watch(program, Limits(seconds, 2 * MAX_OUTPUT_BYTES), self._call, stdin.encode())


class NewRepository(Git):
    """A folder of the workspace that gets a `.git`."""

    _where: tuple[str, ...] = NEW

    def __init__(self, launcher: Launcher, workspace: Workspace, call: Call, path: str) -> None:
        super().__init__(launcher, call)
        self.path = path
        self._workspace = workspace

    def _open_folder(self) -> int:
        """Raises ToolError: the path is no folder of the workspace."""
        with self._workspace.locate(self.path) as place, OsErrors(self.path):
            self.path = place.path
            return place.open_folder()


class Repository(NewRepository):
    """A folder of the workspace that has a `.git` of its own.

    Attributes:
        settings: those of the repository that hold.
    """

    def __enter__(self) -> Self:
        """Raises ToolError: there is no repository, or one of a kind that is not known."""
        super().__enter__()
        try:
            self._adopt()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def remotes(self) -> dict[str, str]:
        """URLs by the names of their remotes; only those of http and https."""
        return {below: value for (section, below, key), value in self.settings if (section, key) == ("remote", "url")}

    def _adopt(self) -> None:
        inside = f"{self.path}/.git"
        with self._workspace.locate(inside, follow=False) as place:
            try:
                folder = place.open_folder()
            except OSError:
                raise ToolError(
                    f"{self.path} is no git repository with a .git folder of its own: name its top folder, or use init."
                ) from None
        try:
            real = os.readlink(f"/proc/self/fd/{folder}")
            self.settings: list[tuple[Key, str]] = safe_settings(_read_text(folder, "config"))
        finally:
            os.close(folder)
        common = f"{self._temporary.path}/common"
        os.mkdir(common, 0o700)
        for name in _LINKED:
            os.symlink(f"{real}/{name}", f"{common}/{name}")
        self._temporary.write("common/config", write_settings(self.settings).encode())
        self._where = adopted(common)


def _read_text(folder: int, name: str) -> str:
    try:
        fd = open_regular(folder, name)
    except OSError:
        raise ToolError("The repository's .git folder has no config that is a file; it is broken.") from None
    with open(fd, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ToolError(f"The repository's .git/config has more than {MAX_BYTES} bytes.")
    return data.decode("utf-8", "replace")
