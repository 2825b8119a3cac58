"""The user's side of `muxi-runtime workspace`: what a hostile workspace sends lands where it was told or nowhere."""

from __future__ import annotations

import io
import os
import string
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muxi_runtime.cli.local_files import new_file, packed_local, unpack_to
from muxi_runtime.errors import RefusedError
from muxi_sandbox.workspaces.contract import ArchiveError, Bounds, ExistsError, WorkspaceError
from muxi_sandbox.workspaces.tar import BLOCK, Reader, end, header


def tar_of(*members: tuple[str, bytes | None]) -> io.BytesIO:
    """A tar with any names at all; `None` makes a folder."""
    data = b""
    for name, content in members:
        size = len(content or b"")
        data += header(name, is_folder=content is None, size=size) + (content or b"") + bytes(-size % BLOCK)
    return io.BytesIO(data + end())


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("untouched")
    return folder


@pytest.mark.promise("workspace-host-stays-inside")
@pytest.mark.parametrize("overwrite", [False, True])
def test_links_below_the_named_folder_are_not_followed(tmp_path: Path, outside: Path, overwrite) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "folder").symlink_to(outside)
    (target / "name").symlink_to(outside / "file")
    with pytest.raises(WorkspaceError):
        unpack_to(tar_of(("folder/file", b"evil")), target, is_file=False, overwrite=overwrite)
    if overwrite:
        unpack_to(tar_of(("name", b"new")), target, is_file=False, overwrite=True)
        assert (target / "name").is_symlink() is False
    else:
        with pytest.raises(ExistsError):
            unpack_to(tar_of(("name", b"evil")), target, is_file=False, overwrite=False)
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "untouched"


@pytest.mark.promise("workspace-host-stays-inside")
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_link_in_the_place_of_the_named_file_is_not_written_through(tmp_path: Path, outside: Path, overwrite) -> None:
    target = tmp_path / "target"
    target.symlink_to(outside / "file")
    if overwrite:
        unpack_to(tar_of(("x", b"new")), target, is_file=True, overwrite=True)
        assert (target.is_symlink(), target.read_bytes()) == (False, b"new")
    else:
        with pytest.raises(RefusedError, match="is there already"):
            unpack_to(tar_of(("x", b"evil")), target, is_file=True, overwrite=False)
    assert (outside / "file").read_text() == "untouched"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".muxi-")]


NAMES = st.text(alphabet=string.ascii_lowercase + "./~\\ é\n\0", min_size=1, max_size=30)


@pytest.mark.promise("workspace-tar-is-strict")
@settings(max_examples=150, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4))
def test_whatever_the_names_are_nothing_is_written_beside_the_named_folder(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "target"
        with suppress(ArchiveError, ExistsError, WorkspaceError):
            unpack_to(tar_of(*((name, b"x") for name in names)), target, is_file=False, overwrite=False)
        assert [path.name for path in Path(folder).iterdir()] == ["target"]
        for path in target.rglob("*"):
            assert path.is_dir() or path.read_bytes() == b"x"


def test_a_file_is_told_from_what_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RefusedError, match="neither a file nor a folder"), packed_local(tmp_path / "pipe", ""):
        pass
    with pytest.raises(RefusedError, match="cannot be read"), packed_local(tmp_path / "none", ""):
        pass


@pytest.mark.parametrize(
    ("path", "into", "name"),
    [("", "", "f.txt"), ("a/", "a", "f.txt"), ("a", "", "a"), ("a/b", "a", "b"), ("a/b/", "a/b", "f.txt")],
)
def test_a_file_is_put_at_the_path_or_into_it(tmp_path: Path, path: str, into: str, name: str) -> None:
    (tmp_path / "f.txt").write_text("x")
    with packed_local(tmp_path / "f.txt", path) as packed:
        assert packed.into == into
        assert [member.parts for member in Reader(packed.tar, Bounds()).members()] == [(name,)]


def test_an_export_that_fails_leaves_no_file_and_one_that_is_there_stays(tmp_path: Path) -> None:
    target = tmp_path / "out.tar"
    with suppress(KeyError), new_file(target) as file:
        file.write(b"half")
        raise KeyError
    assert not target.exists()
    target.write_text("mine")
    with pytest.raises(RefusedError), new_file(target):
        pass
    assert target.read_text() == "mine"
