"""The strict tar reader takes what we write, and of what others write nothing but plain files and folders."""

from __future__ import annotations

import io
import tarfile
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_sandbox.workspaces.contract import ArchiveError, Bounds, WorkspaceError
from muxi_sandbox.workspaces.names import parts_of, why_not_a_name
from muxi_sandbox.workspaces.tar import Reader, end, header

SMALL = Bounds(bytes=10_000, entries=50, depth=8)


def read(data: bytes, bounds: Bounds = SMALL) -> dict[str, bytes | None]:
    reader = Reader(io.BytesIO(data), bounds)
    found: dict[str, bytes | None] = {}
    for member in reader.members():
        content = b"".join(reader.content())
        found["/".join(member.parts)] = None if member.is_folder else content
    return found


def made(name: str, kind: bytes = tarfile.REGTYPE, *, size: int = 0, form: int = tarfile.PAX_FORMAT, link: str = ""):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info.tobuf(form, "utf-8", "surrogateescape") + bytes(-(-size // 512) * 512) + end()


names = st.text(st.characters(exclude_characters="/"), min_size=1, max_size=90).filter(lambda n: not why_not_a_name(n))


@given(st.dictionaries(names, st.binary(max_size=700), max_size=8))
def test_what_is_written_is_read_again(files):
    data = b"".join(
        header(name, is_folder=False, size=len(content)) + content + bytes(-len(content) % 512)
        for name, content in files.items()
    )
    assert read(data + end()) == files


@pytest.mark.promise("workspace-tar-is-strict")
@pytest.mark.parametrize(
    "data",
    [
        made("../out"),
        made("a/../../out"),
        made("/etc/passwd"),
        made("a\nb"),
        made("a\x1b[2J"),
        made("\udcff"),
        made("/".join("d" * 20)),
        made("x" * 256),
        made("link", tarfile.SYMTYPE, link="/etc/passwd"),
        made("link", tarfile.LNKTYPE, link="other"),
        made("pipe", tarfile.FIFOTYPE),
        made("device", tarfile.CHRTYPE),
        made("device", tarfile.BLKTYPE),
        made("sparse", tarfile.GNUTYPE_SPARSE),
        made("n" * 200, form=tarfile.GNU_FORMAT),
        made("old", form=tarfile.GNU_FORMAT),
        made("")[:100],
        header("huge", is_folder=False, size=2**40) + end(),
        header("huge", is_folder=False, size=2**33) + end(),
        header("twice", is_folder=False) + header("twice", is_folder=False) + end(),
        header("cut", is_folder=False, size=900) + bytes(512),
        header("no-end", is_folder=False),
        b"".join(header(f"n{count}", is_folder=False) for count in range(60)) + end(),
        b"\x1f\x8b" + bytes(600),
        b"",
    ],
)
def test_hostile_tars_are_refused(data):
    with pytest.raises(ArchiveError):
        read(data)


@pytest.mark.promise("workspace-tar-is-strict")
@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_refused(data):
    try:
        read(data)
    except ArchiveError:
        return
    assert data[:1024] == bytes(1024)


@given(st.integers(0, 511), st.integers(0, 255))
def test_a_changed_header_is_refused_or_says_the_same(position, value):
    data = bytearray(header("name", is_folder=False, size=5) + b"hello" + bytes(507) + end())
    was, data[position] = data[position], value
    try:
        found = read(bytes(data))
    except ArchiveError:
        assert was != value
    else:
        # Padding of the checksum's own field: a space there means what a NUL means.
        assert found == {"name": b"hello"}


def test_a_large_size_takes_no_memory():
    tracemalloc.start()
    with pytest.raises(ArchiveError):
        read(header("huge", is_folder=False, size=2**30) + bytes(512), Bounds())
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@given(st.text(max_size=60))
def test_a_path_is_parts_that_lead_down_or_is_refused(path):
    try:
        parts = parts_of(path, 8)
    except WorkspaceError:
        return
    assert len(parts) <= 8
    assert not {"", ".", ".."} & set(parts)
    assert not any(set(part) & set("/\0\n") for part in parts)
