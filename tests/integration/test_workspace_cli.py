"""Files in and out of a real sandbox's workspace by the command line, and snapshots of it."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from running import Running

from muxi_runtime.cli.exit_codes import ExitCode


@pytest.fixture
def task(shared_runtime: Running) -> Iterator[str]:
    """A task of the test's own, whose workspace is there."""
    new = shared_runtime.json("call", "muxi.task_new")["structuredContent"]["task"]
    program(shared_runtime, new, "true")
    yield new
    shared_runtime.run("tasks", "end", new)


def program(runtime: Running, task: str, command: str) -> str:
    return runtime.run("call", "shell.run", "--task", task, "--arg", f"command={command}").stdout


def test_a_folder_goes_in_and_out_as_it_was(shared_runtime: Running, task: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "grüße.txt").write_text("hello")
    (project / "go").write_text("#!/bin/sh\necho it runs as $(id -u)\n")
    (project / "go").chmod(0o755)
    (project / "link").symlink_to("/etc/passwd")

    put = shared_runtime.json("workspace", "put", task, str(project))
    assert (put["files"], put["left_out"], put["told"][0]["path"]) == (2, 1, "link")
    assert "it runs as 65534" in program(shared_runtime, task, "project/go; cat project/src/*")

    shared_runtime.run("workspace", "get", task, "project", str(tmp_path / "back"))
    assert (tmp_path / "back" / "src" / "grüße.txt").read_text() == "hello"
    assert os.access(tmp_path / "back" / "go", os.X_OK)
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["go", "src"]


def test_one_file_goes_where_it_is_said_and_replaces_nothing_unasked(
    shared_runtime: Running, task: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.csv"
    report.write_text("a,b\n")
    shared_runtime.run("workspace", "put", task, str(report), "data/in.csv")
    refused = shared_runtime.run("workspace", "put", task, str(report), "data/in.csv", check=False)
    assert refused.returncode == ExitCode.REFUSED
    assert "there already" in refused.stderr
    listed = shared_runtime.json("workspace", "list", task, "data")["entries"]
    assert [(entry["path"], entry["kind"], entry["bytes"]) for entry in listed] == [("in.csv", "file", 4)]

    program(shared_runtime, task, "echo c,d >> data/in.csv")
    refused = shared_runtime.run("workspace", "get", task, "data/in.csv", str(report), check=False)
    assert (refused.returncode, report.read_text()) == (ExitCode.REFUSED, "a,b\n")
    shared_runtime.run("workspace", "get", task, "data/in.csv", str(report), "--overwrite")
    assert report.read_text() == "a,b\nc,d\n"
    assert [path.name for path in tmp_path.iterdir()] == ["report.csv"]


def test_a_snapshot_brings_back_what_was(shared_runtime: Running, task: str, tmp_path: Path) -> None:
    program(shared_runtime, task, "mkdir -p notes && echo first > notes/a && ln -s /etc/passwd notes/link")
    taken = shared_runtime.json("workspace", "snapshot", task, "--note", "before")
    assert (taken["files"], taken["left_out"], taken["note"]) == (1, 1, "before")
    program(shared_runtime, task, "rm -r notes && echo second > b")

    shared_runtime.run("workspace", "restore", task, taken["id"])
    assert program(shared_runtime, task, "find . -type f").startswith("./notes/a\n[exit code 0")
    now, then = tmp_path / "now.tar", tmp_path / "then.tar"
    shared_runtime.run("workspace", "export", task, str(now))
    shared_runtime.run("workspace", "export", task, str(then), "--snapshot", taken["id"])
    assert now.read_bytes() == then.read_bytes()
    with tarfile.open(now) as tar:
        assert [(member.name, member.uid, member.mode) for member in tar] == [
            ("notes", 0, 0o755),
            ("notes/a", 0, 0o644),
        ]

    kept = shared_runtime.home / "snapshots" / task
    assert {path.stat().st_mode & 0o777 for path in kept.iterdir()} == {0o600}
    listed = shared_runtime.json("workspace", "snapshots", task)["snapshots"]
    assert [one["id"] for one in listed] == [taken["id"]]
    shared_runtime.run("workspace", "remove", taken["id"])
    assert shared_runtime.json("workspace", "snapshots")["snapshots"] == []


COUNTS_IN_STEP = """
head -c 48M /dev/zero > m
while [ ! -e stop ]; do i=$((i + 1)); echo $i > t; mv t a; echo $i > t; mv t z; done
"""


@pytest.mark.promise("workspace-snapshots-are-whole")
def test_a_snapshot_is_one_moment_s_while_programs_write(shared_runtime: Running, task: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        counting = pool.submit(program, shared_runtime, task, COUNTS_IN_STEP)
        try:
            while not {"a", "z"} <= listed_in(shared_runtime, task):
                assert not counting.done(), counting.result()
            taken = shared_runtime.json("workspace", "snapshot", task)["id"]
        finally:
            (tmp_path / "stop").touch()
            shared_runtime.run("workspace", "put", task, str(tmp_path / "stop"), "stop")
        assert "[exit code 0" in counting.result()
    shared_runtime.run("workspace", "export", task, str(tmp_path / "then.tar"), "--snapshot", taken)
    with tarfile.open(tmp_path / "then.tar") as tar:
        first, last = [int((tar.extractfile(name) or pytest.fail(name)).read()) for name in ("a", "z")]
    assert first - last in (0, 1), "the last file of the tar was written after the first was read"


def listed_in(runtime: Running, task: str) -> set[str]:
    return {entry["path"] for entry in runtime.json("workspace", "list", task)["entries"]}


@pytest.mark.promise("workspace-snapshots-are-whole")
def test_a_snapshot_that_was_tampered_with_changes_nothing(shared_runtime: Running, task: str) -> None:
    program(shared_runtime, task, "echo good > file")
    taken = shared_runtime.json("workspace", "snapshot", task)
    tar = shared_runtime.home / "snapshots" / task / f"{taken['id']}.tar"
    tar.write_bytes(tar.read_bytes().replace(b"good", b"evil"))
    done = shared_runtime.run("workspace", "restore", task, taken["id"], check=False)
    assert (done.returncode, "damaged" in done.stderr) == (ExitCode.REFUSED, True)
    assert "good" in program(shared_runtime, task, "cat file")
    shared_runtime.run("workspace", "remove", taken["id"])


def test_files_that_do_not_fit_name_the_limit_and_its_value(shared_runtime: Running, task: str, tmp_path: Path) -> None:
    limits = shared_runtime.json("servers", "inspect", "shell")["profile"]["limits"]
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(2**30)
    program(shared_runtime, task, f"head -c {(limits['workspace_mib'] - 1) * 2**20} /dev/zero > full")
    done = shared_runtime.run("workspace", "put", task, str(big), check=False)
    assert done.returncode == ExitCode.REFUSED
    assert f"workspace_mib is {limits['workspace_mib']}" in done.stderr
    assert [entry["path"] for entry in shared_runtime.json("workspace", "list", task)["entries"]] == ["full"]


def test_each_operation_is_in_the_journal(shared_runtime: Running, task: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    shared_runtime.run("workspace", "put", task, str(tmp_path / "file"))
    shared_runtime.run("workspace", "list", task)
    shared_runtime.run("workspace", "get", task, "file", str(tmp_path / "back"))
    shared_runtime.run("workspace", "get", task, "../file", str(tmp_path / "no"), check=False)
    lines = shared_runtime.run("journal", "search", "--task", task, "--json").stdout.splitlines()
    kinds = [event["kind"] for event in map(json.loads, lines)]
    assert [kind for kind in kinds if kind.startswith("workspace.")] == [
        "workspace.put",
        "workspace.listed",
        "workspace.got",
        "workspace.refused",
    ]


def test_a_task_that_is_not_there_is_told_also_while_a_body_is_sent(shared_runtime: Running, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(8 * 2**20))
    done = shared_runtime.run("workspace", "put", "t-none", str(tmp_path / "file"), check=False)
    assert (done.returncode, "You have no task" in done.stderr) == (ExitCode.REFUSED, True)
