"""What a program made of the workspace: a listing before, one after, and the difference."""

from __future__ import annotations

import os

from muxi_servers.kit.walk import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.kit.workspace import Workspace

    Mark = tuple[int, int, int]

__all__ = ["Changes", "Snapshot", "take_snapshot"]

MAX_ENTRIES = 20_000
MAX_REPORTED = 100


class Snapshot:
    """Files by path with what tells a changed one: time of change, size, inode.

    Attributes:
        complete: false where there were more than the limit, or folders deeper than it.
    """

    def __init__(self) -> None:
        self.files: dict[str, Mark] = {}
        self.complete = True


class Changes:
    """Paths of files that were created, modified or deleted, sorted."""

    def __init__(self, before: Snapshot, after: Snapshot) -> None:
        old, new = before.files, after.files
        self.created = sorted(new.keys() - old.keys())
        self.modified = sorted(path for path in new.keys() & old.keys() if new[path] != old[path])
        self.deleted = sorted(old.keys() - new.keys())
        self.complete = before.complete and after.complete

    def to_json(self) -> dict[str, object]:
        """Bounded: at most 100 paths of each kind; `complete` says whether these are all."""
        kinds = {"created": self.created, "modified": self.modified, "deleted": self.deleted}
        complete = self.complete and all(len(paths) <= MAX_REPORTED for paths in kinds.values())
        return {**{kind: paths[:MAX_REPORTED] for kind, paths in kinds.items()}, "complete": complete}


def take_snapshot(workspace: Workspace) -> Snapshot:
    """List the whole workspace, links not followed.

    Raises:
        ToolError: there is no workspace.
    """
    snapshot = Snapshot()
    root = workspace.open()
    try:
        for found in walk(root):
            if len(snapshot.files) >= MAX_ENTRIES:
                snapshot.complete = False
                break
            if found.is_folder:
                snapshot.complete = snapshot.complete and not found.unread
            else:
                status = found.status
                snapshot.files[found.path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    finally:
        os.close(root)
    return snapshot
