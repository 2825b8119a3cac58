"""What every `WorkspaceFiles` must do, as code: each of `CHECKS` is given an empty workspace of 4 MiB and 64 inodes."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from muxi_sandbox.workspaces.contract import ArchiveError, Bounds, ExistsError, WorkspaceError, WorkspaceFullError
from muxi_sandbox.workspaces.tar import BLOCK, Reader, end, header

if TYPE_CHECKING:
    from muxi_sandbox.workspaces.contract import WorkspaceFiles

__all__ = ["CHECKS", "contents", "tar_of"]

MIB = 2**20


def tar_of(files: Mapping[str, bytes]) -> io.BytesIO:
    """A tar of these files."""
    members = [
        header(name, is_folder=False, size=len(data)) + data + bytes(-len(data) % BLOCK) for name, data in files.items()
    ]
    return io.BytesIO(b"".join(members) + end())


async def contents(files: WorkspaceFiles, path: str = "") -> dict[str, bytes]:
    """What `pack` gives of a path."""
    out = io.BytesIO()
    await files.pack(path, out)
    out.seek(0)
    reader = Reader(out, Bounds())
    return {"/".join(m.parts): b"".join(reader.content()) for m in reader.members() if not m.is_folder}


def _expect(truth: bool, otherwise: str) -> None:  # noqa: FBT001  # an assertion
    if not truth:
        raise AssertionError(otherwise)


async def _fails(kind: type[WorkspaceError], doing: Awaitable[object]) -> WorkspaceError:
    try:
        await doing
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


async def what_is_put_is_got(files: WorkspaceFiles) -> None:
    """In by one tar, out by another."""
    given = {"a/b/c": b"deep", "top": b"", "ä €": b"x" * 70_000}
    report = await files.unpack(tar_of(given))
    _expect((report.files, report.bytes) == (3, 70_004), f"{report}")
    _expect(await contents(files) == given, "other files came out")
    _expect(await contents(files, "a") == {"b/c": b"deep"}, "names are not relative to the folder")
    _expect(await contents(files, "a/b/c") == {"c": b"deep"}, "one file is not given by its name")
    entries, _report = await files.entries()
    _expect([(e.path, e.kind) for e in entries] == [("a", "folder"), ("top", "file"), ("ä €", "file")], f"{entries}")


async def nothing_is_replaced_unasked(files: WorkspaceFiles) -> None:
    """Asked, it is."""
    await files.unpack(tar_of({"f": b"old"}), "in")
    await _fails(ExistsError, files.unpack(tar_of({"f": b"new"}), "in"))
    _expect(await contents(files) == {"in/f": b"old"}, "it was replaced")
    await files.unpack(tar_of({"f": b"new"}), "in", overwrite=True)
    _expect(await contents(files) == {"in/f": b"new"}, "it was not replaced")


async def too_many_bytes_name_their_limit(files: WorkspaceFiles) -> None:
    """And what was there stays."""
    await files.unpack(tar_of({"f": b"old"}))
    error = await _fails(WorkspaceFullError, files.unpack(tar_of({"big": bytes(5 * MIB)})))
    _expect("workspace_mib is 4" in str(error), str(error))
    _expect(await contents(files) == {"f": b"old"}, "a part of it stayed")


async def too_many_files_name_their_limit(files: WorkspaceFiles) -> None:
    """The root is one of the inodes."""
    error = await _fails(WorkspaceFullError, files.unpack(tar_of({f"f{n}": b"" for n in range(70)})))
    _expect("workspace_inodes is 64" in str(error), str(error))


async def replacing_is_all_or_nothing(files: WorkspaceFiles) -> None:
    """What does not fit, or is no whole tar, changes nothing."""
    await files.unpack(tar_of({"f": b"old"}))
    await _fails(WorkspaceFullError, files.replace(tar_of({"ok": b"", "big": bytes(5 * MIB)})))
    cut = io.BytesIO(tar_of({"ok": b"x", "two": b"y"}).getvalue()[: 3 * BLOCK])
    await _fails(ArchiveError, files.replace(cut))
    _expect(await contents(files) == {"f": b"old"}, "the workspace was changed")
    await files.replace(tar_of({"new/f": b"new"}))
    _expect(await contents(files) == {"new/f": b"new"}, "the workspace is not what the tar holds")


async def paths_that_lead_out_or_nowhere_are_errors(files: WorkspaceFiles) -> None:
    """For every operation."""
    for path in ("../x", "/x", "a/../b", "missing"):
        await _fails(WorkspaceError, files.pack(path, io.BytesIO()))
        await _fails(WorkspaceError, files.entries(path))
    await _fails(WorkspaceError, files.unpack(tar_of({"f": b""}), "../x"))


CHECKS: dict[str, Callable[[WorkspaceFiles], Awaitable[None]]] = {
    check.__name__: check
    for check in (
        what_is_put_is_got,
        nothing_is_replaced_unasked,
        too_many_bytes_name_their_limit,
        too_many_files_name_their_limit,
        replacing_is_all_or_nothing,
        paths_that_lead_out_or_nowhere_are_errors,
    )
}
