"""Slots: what the host shows of itself to one container, and what can still be put there while it runs.

    <run folder>/<installation>/slots/<container>/workspace   mounted into the container as a slave: the task's
                                                             workspace appears there at the claim
    <run folder>/<installation>/slots/<container>/run         the socket of the egress proxy
    <run folder>/<installation>/tasks/<task>/rw, ro           the workspace: memory, and a read-only view of it

The run folder is one small file system in memory, shared: what is mounted below it on the host reaches the slaves in
the containers (Linux, "Shared subtrees"). It is made once and stays for the machine's next runtimes.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from muxi_sandbox.contract import Check
from muxi_sandbox.docker.mounts import bind, make_shared, mount_points, mount_tmpfs, unmount
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CERTIFICATE_NAME", "RunFolder", "Slot", "UnseenSlotError", "remove_folders"]

log = logging.getLogger(__name__)

FOLDERS_MIB = 64
"""Room for folders and sockets only: what tasks write has file systems of its own."""
NOT_OPENED = "it was not opened yet"
SOCKET_NAME = "egress.sock"
CERTIFICATE_NAME = "authority.pem"
POLICY_NAME = "muxi.json"
SOCKET_PATH_BYTES = 107
"""Of `sockaddr_un`, without its final zero."""


class UnseenSlotError(Exception):
    """What the host mounts does not reach the engine."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One container's folders on the host."""

    folder: Path

    @property
    def workspace(self) -> Path:
        """Empty, read-only for the container, until something is mounted here."""
        return self.folder / "workspace"

    @property
    def run(self) -> Path:
        """Holds the socket; the container can look it up, not list or change it."""
        return self.folder / "run"

    @property
    def socket(self) -> Path:
        """Of the egress proxy."""
        return self.run / SOCKET_NAME

    @property
    def certificate(self) -> Path:
        """Of the authority that the sandbox trusts; there for servers with secrets only."""
        return self.run / CERTIFICATE_NAME

    @property
    def policies(self) -> Path:
        """Of a browser; there for those of servers with secrets only."""
        return self.folder / "policies"

    def give(self, certificate: bytes, *, to_browser: bool) -> None:
        """Let the container see the certificate (PEM), from its start on. `to_browser`: also as Chromium takes one.

        Raises:
            SandboxError: it could not be written.
        """
        try:
            _write_public(self.certificate, certificate)
            if to_browser:
                self.policies.mkdir(mode=0o755, exist_ok=True)
                self.policies.chmod(0o755)
                _write_public(self.policies / POLICY_NAME, _chromium_policy(certificate))
        except OSError as error:
            raise SandboxError(f"{error.filename or self.folder} cannot be written: {error.strerror}.") from error

    def show(self, workspace: Path) -> None:
        """Let the container see it from now on.

        Raises:
            SandboxError: it could not be mounted.
        """
        try:
            bind(workspace, self.workspace)
        except OSError as error:
            raise SandboxError(f"The workspace could not be mounted into its sandbox: {error}.") from error

    def remove(self) -> None:
        """Take everything away. The workspace itself stays the task's. Never raises."""
        try:
            while unmount(self.workspace):
                pass
        except OSError as error:
            # One who may not mount may not unmount either, where there is nothing to unmount.
            if not isinstance(error, PermissionError) or self.workspace.is_mount():
                # Not removed then: what is below it are the task's files.
                log.warning("slot %s could not be unmounted and is left: %s", self.folder, error)
                return
        self.socket.unlink(missing_ok=True)
        self.certificate.unlink(missing_ok=True)
        (self.policies / POLICY_NAME).unlink(missing_ok=True)
        remove_folders(self.policies, self.workspace, self.run, self.folder)


def _write_public(path: Path, data: bytes) -> None:
    """For the container's user to read, whatever this process's umask is; an older one is replaced."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(0o444)


def _chromium_policy(certificate: bytes) -> bytes:
    """The enterprise policy `CACertificates`: what Chromium trusts besides its own list, each as DER in base64."""
    lines = certificate.decode("ascii").splitlines()
    return json.dumps({"CACertificates": ["".join(line for line in lines if not line.startswith("-"))]}).encode()


def remove_folders(*folders: Path) -> None:
    """Each that is empty: one that is not holds what is not ours to remove, and is left. Never raises."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


class RunFolder:
    """The folder of one installation, with its right to mount there.

    Attributes:
        why_not: why nothing can be mounted; empty if it can.
    """

    def __init__(self, root: Path, installation: str) -> None:
        self._root = root
        self.folder = root / installation
        self.why_not = NOT_OPENED

    @property
    def slots(self) -> Path:
        """Folders of slots, by container."""
        return self.folder / "slots"

    @property
    def tasks(self) -> Path:
        """Folders of workspaces, by task."""
        return self.folder / "tasks"

    @property
    def can_mount(self) -> bool:
        """Whether a running container can be given a workspace."""
        return not self.why_not

    def open(self, *, may_mount: bool) -> None:
        """Make the folders and find out what is allowed. Never raises: `why_not` says it."""
        if not may_mount:
            self.why_not = "engine.mounts is off"
            return
        try:
            self._share_root()
            self.slots.mkdir(mode=0o711, parents=True, exist_ok=True)
            self.tasks.mkdir(mode=0o711, exist_ok=True)
            self._try_to_mount()
        except OSError as error:
            self.why_not = f"{error.strerror} ({error.filename})"
        else:
            self.why_not = ""

    def check(self, *, may_mount: bool) -> Check:
        """What `doctor` says of it; finds out first if it was not opened."""
        if self.why_not == NOT_OPENED:
            is_in_use = self.folder.exists()
            self.open(may_mount=may_mount)
            if not is_in_use:
                self.close()
        if self.can_mount:
            return Check("mounts", ok=True, detail=f"workspaces are mounted at {self._root}: sandboxes are made ahead")
        return Check(
            "mounts",
            ok=True,
            detail=f"nothing can be mounted at {self._root}: {self.why_not}. Workspaces are volumes of the engine, and "
            "sandboxes that have one are made when a task needs them: as safe, and slower",
            cure="Run the runtime as root, or with the capability SYS_ADMIN, on the engine's machine.",
        )

    def forbid(self, why: str) -> None:
        """Found out later: nothing that is mounted here reaches a container."""
        self.why_not = why

    def close(self) -> None:
        """Remove the folders if nothing is left in them."""
        remove_folders(self.slots, self.tasks, self.folder)

    def slot(self, name: str, *, with_socket: bool = True) -> Slot:
        """A new one; `with_socket` if the egress proxy will listen in it.

        Raises:
            SandboxError: the folders cannot be made.
        """
        slot = Slot(self.slots / name)
        if with_socket and len(os.fsencode(slot.socket)) > SOCKET_PATH_BYTES:
            raise SandboxError(
                f"The path {slot.socket} is too long for a socket: set engine.run_folder to a shorter one."
            )
        try:
            self._require_own_root()
            slot.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            slot.workspace.mkdir(mode=0o755, exist_ok=True)
            slot.run.mkdir(mode=0o711, exist_ok=True)
            # Whatever this process's umask is: the container's user has to get in.
            slot.workspace.chmod(0o755)
            slot.run.chmod(0o711)
        except OSError as error:
            raise SandboxError(
                f"{error.filename or slot.folder} cannot be made: {error.strerror}. Make room there, or set "
                "engine.run_folder to a folder that the runtime may write."
            ) from error
        return slot

    def existing_slot(self, name: str) -> Slot:
        """The one of a container that an earlier process made; its folders need not be there."""
        return Slot(self.slots / name)

    def leftover_slots(self, held: set[str]) -> list[Slot]:
        """Slots of containers that are not held."""
        return [Slot(folder) for folder in _folders(self.slots) if folder.name not in held]

    def _require_own_root(self) -> None:
        """In a folder of somebody else's, or that others may write to, a socket could be exchanged."""
        self._root.mkdir(mode=0o711, parents=True, exist_ok=True)
        state = self._root.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o022:
            raise SandboxError(
                f"{self._root} is not a folder of this user alone. Remove it, or set engine.run_folder to one that is."
            )

    def _share_root(self) -> None:
        if _is_shared(self._root):
            return
        with _only_one(self._root.with_suffix(".lock")):
            if _is_shared(self._root):
                return
            self._root.mkdir(mode=0o711, parents=True, exist_ok=True)
            if not any(point.path == self._root for point in mount_points(self._root)):
                mount_tmpfs(self._root, f"size={FOLDERS_MIB}m,mode=0711")
            make_shared(self._root)

    def _try_to_mount(self) -> None:
        trial = self.folder / f"trial-{os.getpid()}"
        trial.mkdir(exist_ok=True)
        try:
            mount_tmpfs(trial, "size=4k")
            unmount(trial)
        finally:
            trial.rmdir()


def _is_shared(folder: Path) -> bool:
    return any(point.path == folder and point.peers for point in mount_points(folder))


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except FileNotFoundError:
        return []


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Two runtimes that start at once would cover each other's folders.

    It may lie where others can make files: a link is not followed, and a file of somebody else's is not waited for.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it belongs to somebody else", str(lock))
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
