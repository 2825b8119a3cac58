from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.snapshot import Changes, take_snapshot
from muxi_servers.kit.workspace import MAX_DEPTH, Workspace


@pytest.fixture(scope="module")
def outside() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def root(outside: Path) -> Iterator[Path]:
    (outside / "secret").write_text("secret")
    root = outside / "work"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "file").write_text("inside")
    (root / "to-a").symlink_to("a")
    (root / "to-file").symlink_to("a/file")
    (root / "a" / "b" / "up").symlink_to("../..")
    (root / "absolute").symlink_to("/workspace/a")
    (root / "out").symlink_to("..")
    (root / "out-absolute").symlink_to("/etc")
    (root / "a" / "out-later").symlink_to("b/../../../secret")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("missing")
    yield root
    shutil.rmtree(root)


def where(root: Path, path: str, *, follow: bool = True) -> str:
    with Workspace(str(root)).locate(path, follow=follow) as place:
        return place.path


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("a/file", "a/file"),
        ("./a//b/./", "a/b"),
        (".", "."),
        ("", "."),
        ("/workspace", "."),
        ("/workspace/a/file", "a/file"),
        ("a/../a/b/..", "a"),
        ("missing", "missing"),
        ("to-a/file", "a/file"),
        ("to-file", "a/file"),
        ("to-a/b/up/to-a/b/up/a", "a"),
        ("absolute/file", "a/file"),
        ("dangling", "missing"),
        ("a/~", "a/~"),
    ],
)
def test_a_path_inside_is_resolved(root: Path, path: str, resolved: str) -> None:
    assert where(root, path) == resolved


def test_the_workspace_may_be_named_by_its_own_path(root: Path) -> None:
    assert where(root, f"{root}/a/file") == "a/file"


def test_a_link_is_itself_where_it_is_not_to_be_followed(root: Path) -> None:
    assert where(root, "to-file", follow=False) == "to-file"
    assert where(root, "out/", follow=False) == "out"


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("..", "out of the workspace"),
        ("a/../..", "out of the workspace"),
        ("a/b/../../../secret", "out of the workspace"),
        ("/etc/passwd", "outside the workspace"),
        ("/workspacex", "outside the workspace"),
        ("/", "outside the workspace"),
        ("out/secret", "out of the workspace"),
        ("out", "out of the workspace"),
        ("out-absolute/passwd", "points out of the workspace"),
        ("to-a/out-later", "out of the workspace"),
        ("a/b/up/../secret", "out of the workspace"),
        ("loop", "more than 16 symbolic links"),
        ("loop/x", "more than 16 symbolic links"),
        ("dangling/x", "does not exist"),
        ("a/file/x", "is not a folder"),
        ("a/\0b", "NUL"),
        ("~", "relative to the workspace"),
        ("~/x", "relative to the workspace"),
        ("missing/x", "does not exist"),
        ("x" * 300 + "/y", "too long"),
        ("x/" * 3000, "more than 4096 bytes"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused_with_the_reason(root: Path, path: str, complaint: str) -> None:
    with pytest.raises(ToolError, match=complaint):
        where(root, path)


def test_folders_on_the_way_are_made_where_asked(root: Path) -> None:
    with Workspace(str(root)).locate("new/deep/file", make_folders=True) as place:
        assert place.path == "new/deep/file"
    assert (root / "new" / "deep").is_dir()


def test_no_folder_is_made_outside(root: Path, outside: Path) -> None:
    with pytest.raises(ToolError):
        Workspace(str(root)).locate("out/made/x", make_folders=True)
    assert not (outside / "made").exists()


def test_a_path_that_is_too_deep_is_refused(root: Path) -> None:
    with pytest.raises(ToolError, match=f"deeper than {MAX_DEPTH}"):
        Workspace(str(root)).locate("d/" * (MAX_DEPTH + 1) + "x", make_folders=True)


def test_no_descriptor_is_left_open(root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("a/b/up/to-a/file", "out/secret", "a/file/x", "loop", "a/b/../.."):
        try:
            where(root, path)
        except ToolError:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_without_a_workspace_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="has no workspace"):
        Workspace(str(tmp_path / "none")).locate("x")


PARTS = st.sampled_from(
    [
        "a",
        "b",
        "..",
        ".",
        "",
        "file",
        "up",
        "to-a",
        "out",
        "out-absolute",
        "absolute",
        "loop",
        "dangling",
        "out-later",
        "x",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PARTS, max_size=12).map("/".join), st.booleans())
def test_no_path_ever_leads_out(root: Path, path: str, follow: bool) -> None:  # noqa: FBT001 - a drawn value
    """Where the walk ends is compared with what the kernel says of the folder it holds open."""
    try:
        place = Workspace(str(root)).locate(path, follow=follow)
    except ToolError:
        return
    with place:
        held = Path(f"/proc/self/fd/{place.folder}").readlink()
        assert held == root.resolve() or root.resolve() in held.parents
        assert "/" not in place.name
        assert place.name not in {"..", ""}


def test_changes_of_the_workspace_are_told(root: Path) -> None:
    workspace = Workspace(str(root))
    before = take_snapshot(workspace)
    (root / "a" / "file").write_text("changed")
    (root / "a" / "new").write_text("new")
    (root / "to-file").unlink()
    changes = Changes(before, take_snapshot(workspace)).to_json()
    assert changes == {"created": ["a/new"], "modified": ["a/file"], "deleted": ["to-file"], "complete": True}


def test_many_changes_are_bounded_and_marked(root: Path) -> None:
    workspace = Workspace(str(root))
    before = take_snapshot(workspace)
    for index in range(150):
        (root / f"f{index}").touch()
    changes = Changes(before, take_snapshot(workspace)).to_json()
    assert isinstance(changes["created"], list)
    assert len(changes["created"]) == 100
    assert changes["complete"] is False
