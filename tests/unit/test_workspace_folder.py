"""Files in and out of a folder that a stranger filled, and snapshots of it."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import pytest

from muxi_sandbox.workspaces.contract import ArchiveError, Bounds, ExistsError, WorkspaceError
from muxi_sandbox.workspaces.folder import FolderFiles, unpack_here
from muxi_sandbox.workspaces.settings import SnapshotSettings
from muxi_sandbox.workspaces.snapshots import SnapshotStore
from muxi_sandbox.workspaces.tar import end, header


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "ws").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    return tmp_path / "ws"


@pytest.fixture
def files(workspace: Path) -> FolderFiles:
    return FolderFiles(lambda: workspace, owner=None)


def tar_of(**contents: bytes) -> io.BytesIO:
    parts = [
        header(name.replace("__", "/"), is_folder=False, size=len(data)) + data + bytes(-len(data) % 512)
        for name, data in contents.items()
    ]
    return io.BytesIO(b"".join(parts) + end())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.promise("workspace-host-stays-inside")
async def test_only_plain_files_come_out_and_the_rest_is_told(files, workspace, tmp_path):
    (workspace / "good").mkdir()
    (workspace / "good/file").write_text("content")
    (workspace / "link").symlink_to(tmp_path / "outside/secret")
    (workspace / "folder-link").symlink_to(tmp_path / "outside")
    os.mkfifo(workspace / "pipe")
    (workspace / "new\nline").write_text("x")
    os.mknod(os.fsencode(workspace) + b"/bad\xff")
    (workspace / "sparse").touch()
    os.truncate(workspace / "sparse", 2**40)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(workspace / "socket"))
        out = io.BytesIO()
        report = await files.pack("", out)
    (tmp_path / "to").mkdir()
    out.seek(0)
    unpack_here(tmp_path / "to", out, overwrite=False, bounds=Bounds())
    assert tree(tmp_path / "to") == {"good/file": b"content"}
    assert (report.files, report.folders, report.left_out) == (1, 1, 7)
    assert b"secret" not in out.getvalue().replace(b"outside/secret", b"")


@pytest.mark.promise("workspace-host-stays-inside")
@pytest.mark.parametrize("path", ["link/secret", "../outside", "/etc", "link", "~/x", "a\0b"])
async def test_a_path_through_a_link_or_out_is_refused(files, workspace, tmp_path, path):
    (workspace / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(WorkspaceError):
        await files.pack(path, io.BytesIO())
    if path not in {"link", "~/x"}:
        with pytest.raises(WorkspaceError):
            await files.unpack(tar_of(new=b"x"), path)
    assert tree(tmp_path / "outside") == {"secret": b"secret"}


@pytest.mark.promise("workspace-host-stays-inside")
async def test_writing_follows_no_link(files, workspace, tmp_path):
    (workspace / "folder").symlink_to(tmp_path / "outside")
    (workspace / "file").symlink_to(tmp_path / "outside/secret")
    with pytest.raises(WorkspaceError):
        await files.unpack(tar_of(folder__secret=b"changed"), overwrite=True)
    await files.unpack(tar_of(file=b"mine"), overwrite=True)
    assert not (workspace / "file").is_symlink()
    assert tree(tmp_path / "outside") == {"secret": b"secret"}


async def test_a_file_is_not_replaced_unasked_and_nothing_half_written_stays(files, workspace):
    (workspace / "file").write_text("old")
    with pytest.raises(ExistsError):
        await files.unpack(tar_of(file=b"new"))
    cut = io.BytesIO(header("cut", is_folder=False, size=2000) + bytes(600))
    with pytest.raises(ArchiveError):
        await files.unpack(cut)
    assert tree(workspace) == {"file": b"old"}


async def test_more_entries_than_the_bound_are_refused(files, workspace):
    for number in range(20):
        (workspace / f"{number}").touch()
    with pytest.raises(WorkspaceError, match="more than 10 entries"):
        await files.pack("", io.BytesIO(), Bounds(entries=10))


def bury(workspace: Path, depth: int) -> None:
    here = os.open(workspace, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        there = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    os.close(here)


@pytest.mark.promise("workspace-host-stays-inside")
async def test_a_tree_of_depth_2000_is_cut_when_read_and_removed_when_replaced(files, workspace):
    bury(workspace, 2000)
    report = await files.pack("", io.BytesIO())
    assert report.told[0][1] == "more than 64 folders deep"
    await files.replace(tar_of(only=b"this"))
    assert [path.name for path in sorted(workspace.glob("*"))] == ["only"]


async def test_a_snapshot_is_restored_exactly(files, workspace, tmp_path):
    store = SnapshotStore(tmp_path / "snapshots", SnapshotSettings(per_task=1))
    (workspace / "a").mkdir()
    (workspace / "a/b").write_text("kept")
    snapshot, _report = await store.take(files, "t-1", "before")
    assert store.list("t-1") == [snapshot] == store.list()
    with pytest.raises(WorkspaceError, match=r"snapshots\.per_task"):
        await store.take(files, "t-1")
    (workspace / "a/b").write_text("changed")
    (workspace / "new").write_text("new")
    await store.restore(snapshot, files)
    assert tree(workspace) == {"a/b": b"kept"}
    store.remove(snapshot)
    assert store.list() == []


@pytest.mark.promise("workspace-snapshots-are-whole")
async def test_a_damaged_snapshot_is_refused_and_the_workspace_stays(files, workspace, tmp_path):
    store = SnapshotStore(tmp_path / "snapshots", SnapshotSettings())
    (workspace / "a").write_text("kept")
    snapshot, _report = await store.take(files, "t-1")
    tar = next((tmp_path / "snapshots").rglob("*.tar"))
    assert tar.stat().st_mode & 0o777 == 0o600
    tar.write_bytes(tar.read_bytes().replace(b"kept", b"kepu"))
    (workspace / "a").write_text("now")
    with pytest.raises(WorkspaceError, match="damaged"):
        await store.restore(snapshot, files)
    assert tree(workspace) == {"a": b"now"}


async def test_the_same_content_gives_the_same_tar(files, workspace):
    for name in ("b", "a", "c"):
        (workspace / name).write_text(name)
        os.utime(workspace / name, (5, 5))
    first, second = io.BytesIO(), io.BytesIO()
    await files.pack("", first)
    (workspace / "a").rename(workspace / "x")
    (workspace / "x").rename(workspace / "a")
    await files.pack("", second)
    assert first.getvalue() == second.getvalue()


@pytest.mark.promise("workspace-snapshots-are-whole")
async def test_a_tar_that_cannot_be_written_to_its_end_leaves_everything_as_it_was(files, workspace):
    (workspace / "a").mkdir()
    (workspace / "a/b").write_text("kept")
    clash = tar_of(new=b"new", x=b"a file", x__y=b"below a file")
    with pytest.raises(WorkspaceError):
        await files.replace(clash)
    assert tree(workspace) == {"a/b": b"kept"}
    assert [path.name for path in workspace.iterdir()] == ["a"]


async def test_what_is_there_gives_way_whatever_it_is(files, workspace, tmp_path):
    (workspace / "file").mkdir()
    (workspace / "file/inner").write_text("old")
    (workspace / "folder").symlink_to(tmp_path / "outside")
    await files.replace(tar_of(file=b"new", folder__x=b"new"))
    assert tree(workspace) == {"file": b"new", "folder/x": b"new"}
    assert tree(tmp_path / "outside") == {"secret": b"secret"}


@pytest.mark.parametrize("limit", ["per_task", "per_principal", "total_mib"])
async def test_no_more_snapshots_are_taken_than_the_settings_say(files, workspace, tmp_path, limit):
    store = SnapshotStore(tmp_path / "snapshots", SnapshotSettings(**{limit: 1}))
    (workspace / "a").write_bytes(bytes(2**20))
    await store.take(files, "t-1", principal="ada")
    with pytest.raises(WorkspaceError, match=rf"snapshots\.{limit}"):
        await store.take(files, "t-2" if limit != "per_task" else "t-1", principal="ada")
    if limit == "per_principal":
        await store.take(files, "t-2", principal="bob")


async def test_what_a_killed_process_did_not_finish_is_swept_and_the_rest_stays(files, tmp_path):
    store = SnapshotStore(tmp_path / "snapshots", SnapshotSettings())
    snapshot, _report = await store.take(files, "t-1")
    (tmp_path / "snapshots/t-1/s-half.tar").write_bytes(b"half")
    (tmp_path / "snapshots/t-1/s-half.new").write_bytes(b"half")
    (tmp_path / "snapshots/t-2").mkdir()
    assert store.sweep() == 2
    assert store.list() == [snapshot]
    assert sorted(path.name for path in (tmp_path / "snapshots").rglob("*")) == [
        f"{snapshot.id}.json",
        f"{snapshot.id}.tar",
        "t-1",
    ]
