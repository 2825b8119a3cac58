"""SQL, database files and links that lead out of the workspace, or change a file in it. DuckDB itself, in its image."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from raw_tools import RawTools, boxed_on, raw_tools
from servers_harness import boxed

pytestmark = pytest.mark.timeout(240)

TABLE = "a,b\n1,2\n"
SEALED = """
import os, sys, socket, subprocess, threading
os.chdir(sys.argv[1])
sealed, refused = threading.Event(), []
def older():
    sealed.wait(30)
    try:
        os.open('file', os.O_WRONLY)
    except OSError:
        refused.append(True)
thread = threading.Thread(target=older)
thread.start()
reading = os.open('file', os.O_RDONLY)
from muxi_servers.data.sealing import seal
seal()
sealed.set()
thread.join(30)
if not refused: print('older thread')
def tried(name, attempt, *arguments, **options):
    try:
        attempt(*arguments, **options)
    except OSError:
        return
    print(name)
tried('write', os.open, 'file', os.O_WRONLY)
tried('both', os.open, 'file', os.O_RDWR)
tried('truncate by open', os.open, 'file', os.O_RDONLY | os.O_TRUNC)
tried('create', os.open, 'new', os.O_RDONLY | os.O_CREAT)
tried('unnamed', os.open, '.', os.O_TMPFILE | os.O_WRONLY)
tried('descriptor', os.open, f'/proc/self/fd/{reading}', os.O_WRONLY)
tried('memory', os.open, '/proc/self/mem', os.O_RDWR)
for name, arguments in (
    ('truncate', ('file', 0)), ('unlink', ('file',)), ('rename', ('file', 'other')), ('link', ('file', 'other')),
    ('symlink', ('file', 'other')), ('mkdir', ('other',)), ('chmod', ('file', 0)), ('utime', ('file',)),
    ('mkfifo', ('other',)), ('setxattr', ('file', 'user.x', b'x')), ('kill', (os.getppid(), 0)),
):
    tried(name, getattr(os, name), *arguments)
tried('socket', socket.socket)
tried('pair', socket.socketpair)
tried('program', subprocess.run, ['/bin/true'])
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
how = (ctypes.c_uint64 * 3)(os.O_WRONLY, 0, 0)
for name, number, arguments in (('openat2', 437, (-100, b'file', how, 24)), ('fchmodat2', 452, (-100, b'file', 0, 0))):
    if libc.syscall(ctypes.c_long(number), *arguments) != -1: print(name)
own, thread, info = os.getpid(), threading.get_native_id(), ctypes.create_string_buffer(128)
tkill, queue, queue_thread = (200, 129, 297) if os.uname().machine == 'x86_64' else (130, 138, 240)
for name, number, arguments in (
    ('tkill', tkill, (thread, 0)), ('rt_sigqueueinfo', queue, (own, 0, info)), ('pidfd_open', 434, (own, 0)),
    ('rt_tgsigqueueinfo', queue_thread, (own, thread, 0, info)), ('pidfd_getfd', 438, (-1, 0, 0)),
):
    ctypes.set_errno(0)
    if libc.syscall(ctypes.c_long(number), *arguments) != -1 or ctypes.get_errno() != 1: print(name)
assert os.read(reading, 9) == b'content'
assert os.open('file', os.O_RDONLY) > 0
print('end')
"""
DUCKDB_FILE = """
import duckdb
with duckdb.connect('/workspace/evil.duckdb') as made:
    made.execute("CREATE TABLE t AS SELECT 1 AS a")
    made.execute("CREATE VIEW reads AS SELECT * FROM read_text('/etc/passwd')")
    made.execute("CREATE MACRO secret() AS TABLE SELECT * FROM read_text('/etc/passwd')")
"""

SWAPPED = """
import duckdb, os, sys
sys.path.insert(0, '/servers')
from muxi_servers.data.engine import Engine
from muxi_servers.data.sources import Sources
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.workspace import Workspace
for path in ('/tmp/away.duckdb', '/tmp/work/a.duckdb'):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with duckdb.connect(path) as made:
        made.execute(f"CREATE TABLE t AS SELECT '{path}' AS a")
class Swapping(Sources):
    def get(self, path):
        found = super().get(path)
        os.unlink('/tmp/work/a.duckdb')
        os.symlink('/tmp/away.duckdb', os.readlink(found.places[0]))  # which ends in "(deleted)" now
        return found
print(Engine(Sources(Workspace('/tmp/work')), 'a.duckdb').execute('FROM t').fetchall())
try:
    print(Engine(Swapping(Workspace('/tmp/work')), 'a.duckdb').execute('FROM t').fetchall())
except ToolError as refusal:
    print(refusal)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, data_image: str) -> Path:
    top = tmp_path_factory.mktemp("confined")
    top.chmod(0o777)
    command = [
        "docker",
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        f"{top}:/workspace",
        data_image,
        "python3",
        "-c",
        DUCKDB_FILE,
    ]
    subprocess.run(
        command, check=True, timeout=100, env={"DOCKER_API_VERSION": "1.41", "PATH": "/usr/bin:/usr/local/bin:/bin"}
    )
    (top / "a.csv").write_text(TABLE)
    (top / "a.csv").chmod(0o666)
    (top / "out.csv").symlink_to("/etc/passwd")
    (top / "etc").symlink_to("/etc")
    (top / "in.csv").symlink_to("a.csv")
    return top


@pytest.fixture(scope="module")
def server(data_image: str, folder: Path) -> Iterator[RawTools]:
    with raw_tools(boxed_on(data_image, "data", folder)) as tools:
        yield tools


@pytest.mark.promise("data-stays-in-the-workspace")
@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_text('/etc/passwd')",
        "FROM read_csv('/etc/passwd', columns={'l': 'VARCHAR'})",
        "FROM read_text(['/etc/passwd'])",
        "FROM read_text('/e' || 'tc/passwd')",
        "FROM read_text('../etc/passwd')",
        "FROM read_text('etc/passwd')",
        "FROM 'out.csv'",
        "FROM read_csv('out.csv', columns={'l': 'VARCHAR'})",
        "FROM read_csv('*.csv', columns={'l': 'VARCHAR'})",
        "FROM read_blob('/proc/self/environ')",
        "FROM read_text('/proc/self/cmdline')",
        "FROM read_text('/proc/self/fd/0')",
        "FROM glob('/etc/*')",
        "FROM glob('etc/*')",
        "FROM glob('/proc/*/environ')",
        "FROM parquet_metadata('/etc/passwd')",
        "FROM sniff_csv('/etc/passwd')",
        "FROM query('FROM read_text(''/etc/passwd'')')",
        "FROM 'https://example.com/a.csv'",
        "FROM read_csv('s3://bucket/a.csv')",
        "FROM sqlite_scan('/etc/passwd', 'x')",
        "SELECT getenv('PATH')",
        "SELECT * FROM which_secret('https://example.com', 'http')",
    ],
)
def test_nothing_but_files_of_the_workspace_is_read(server: RawTools, sql: str) -> None:
    result = server.result("query", sql=sql)
    told = result.get("structuredContent")
    assert result["isError"] or told["rows"] == [], result
    assert "root:" not in str(result)


@pytest.mark.promise("data-stays-in-the-workspace")
def test_a_database_file_reads_no_more_than_a_query_does(server: RawTools) -> None:
    assert server.call("query", sql="FROM t", database="evil.duckdb")["rows"] == [[1]]
    for sql in ("FROM reads", "FROM secret()"):
        assert "root:" not in server.refusal("query", sql=sql, database="evil.duckdb")


@pytest.mark.promise("data-stays-in-the-workspace")
def test_a_database_that_is_swapped_for_a_link_while_it_is_opened_is_not_read(data_image: str) -> None:
    parameters = boxed(data_image, "data")
    command = [
        parameters.command,
        *parameters.args[: parameters.args.index(data_image)],
        data_image,
        "python3",
        "-c",
        SWAPPED,
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=parameters.env)
    first, second = ran.stdout.splitlines()
    assert first == "[('/tmp/work/a.duckdb',)]", ran.stderr
    assert "another place while it was opened" in second


@pytest.mark.promise("queries-change-nothing")
@pytest.mark.parametrize(
    "sql",
    [
        "WITH x AS (COPY (SELECT 7 AS k) TO 'a.csv' (USE_TMP_FILE false)) SELECT * FROM x, 'a.csv'",
        "WITH x AS (COPY (SELECT 7 AS k) TO '/tmp/x.csv') SELECT * FROM x",
        "EXPLAIN ANALYZE COPY (SELECT 7 FROM 'a.csv') TO 'a.csv' (USE_TMP_FILE false)",
        "COPY (SELECT 7) TO 'a.csv'",
        "EXPORT DATABASE 'x'",
        "ATTACH 'a.csv' AS x",
        "ATTACH '/workspace/new.duckdb' AS x",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET allowed_directories = ['/']",
        "RESET lock_configuration",
        "SET enable_external_access = true",
        "PRAGMA enable_profiling = 'json'",
        "CALL enable_logging(storage = 'file')",
        "CREATE SECRET (TYPE s3)",
        "SELECT 1; COPY (SELECT 7) TO 'a.csv'",
    ],
)
def test_no_statement_writes_or_loosens_anything(server: RawTools, folder: Path, sql: str) -> None:
    before = sorted(path.name for path in folder.iterdir())
    server.refusal("query", sql=sql)
    assert (folder / "a.csv").read_text() == TABLE
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.promise("queries-change-nothing")
@pytest.mark.parametrize("tool", ["profile", "chart", "export"])
def test_no_other_tool_lets_a_query_write_either(server: RawTools, folder: Path, tool: str) -> None:
    more = {"chart": {"kind": "bar"}, "export": {"file": "exported.csv"}}.get(tool, {})
    sql = "WITH x AS (COPY (SELECT 7 AS k) TO 'a.csv' (USE_TMP_FILE false)) SELECT * FROM x, 'a.csv'"
    server.refusal(tool, sql=sql, **more)
    assert (folder / "a.csv").read_text() == TABLE
    assert not (folder / "exported.csv").exists()


@pytest.mark.promise("data-stays-in-the-workspace")
def test_files_are_written_into_the_workspace_only_and_through_no_link(server: RawTools, folder: Path) -> None:
    (folder / "away").symlink_to("/tmp")
    for file in ("../x.csv", "/tmp/x.csv", "away/x.csv", "etc/x.csv"):
        assert server.refusal("export", sql="SELECT 1", file=file)
    assert "exists already" in server.refusal("export", sql="SELECT 1", file="a.csv")
    assert "out of the workspace" in server.refusal("export", sql="SELECT 1", file="out.csv", overwrite=True)


@pytest.mark.promise("data-stays-in-the-workspace")
def test_a_link_that_points_inside_is_followed(server: RawTools) -> None:
    assert server.call("query", sql="FROM 'in.csv'")["rows"] == [[1, 2]]


@pytest.mark.promise("queries-change-nothing")
def test_a_sealed_process_changes_no_file_starts_no_program_and_connects_nowhere(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    command = [sys.executable, "-c", SEALED, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.returncode) == ("end\n", 0), ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "content"
