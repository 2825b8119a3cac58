"""Statements that may change data, and change no more than the database and the files that they name. In the image."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from raw_tools import RawTools, boxed_on, raw_tools

pytestmark = pytest.mark.timeout(240)

TABLE = "a,b\n1,2\n3,4\n"


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changed")


@pytest.fixture(scope="module")
def server(data_image: str, top: Path) -> Iterator[RawTools]:
    with raw_tools(boxed_on(data_image, "data", top, "-e", "DATA_WRITE=allow")) as tools:
        yield tools


@pytest.fixture(scope="module")
def databases(server: RawTools, top: Path) -> dict[str, bytes]:
    (top / "a.csv").write_text(TABLE)
    server.call("execute", sql="CREATE TABLE t AS FROM 'a.csv'", database="shop.duckdb")
    server.call("execute", sql="CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2)", database="shop.sqlite")
    return {name: (top / name).read_bytes() for name in ("shop.duckdb", "shop.sqlite")}


@pytest.fixture
def folder(databases: dict[str, bytes], top: Path) -> Path:
    """The workspace, made anew for each test; what is in it belongs to another user than the server's."""
    for path in top.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name, content in {"a.csv": TABLE.encode(), **databases}.items():
        (top / name).write_bytes(content)
        (top / name).chmod(0o666)
    (top / "out.csv").symlink_to("/tmp/out.csv")
    (top / "in.csv").symlink_to("a.csv")
    (top / "away").symlink_to("/tmp")
    return top


def state(folder: Path) -> dict[str, str]:
    """Everything that is there, by name: what a link says, or the hash of a file."""
    return {
        path.name: str(path.readlink()) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
    }


def test_tables_are_made_and_changed_and_rows_are_counted(server: RawTools, folder: Path) -> None:
    sql = "INSERT INTO t VALUES (5, 6); UPDATE t SET b = b + 1 WHERE a > 1; CREATE VIEW v AS SELECT sum(b) AS s FROM t"
    told = server.call("execute", sql=f"{sql}; ALTER TABLE t ADD COLUMN c INTEGER; -- end", database="shop.duckdb")
    assert (told["changed_rows"], told["files"]) == (3, [])
    assert told["size_bytes"] == (folder / "shop.duckdb").stat().st_size
    assert server.call("query", sql="FROM v", database="shop.duckdb")["rows"] == [[14]]
    told = server.call("execute", sql="DELETE FROM t; INSERT INTO t VALUES (7, 8), (9, 10)", database="shop.sqlite")
    assert told["changed_rows"] == 3
    assert server.call("query", sql="FROM t", database="shop.sqlite")["rows"] == [[7, 8], [9, 10]]
    assert sorted(state(folder)) == ["a.csv", "away", "in.csv", "out.csv", "shop.duckdb", "shop.sqlite"]


COMMENTED = """DELETE FROM t -- éé 日本 😀
WHERE a < 9 --; the first, whose name is long enough to be cut in
AND a = 1 AND 'some other name' <> 'José';"""


def test_a_comment_with_letters_of_any_script_moves_no_end_of_a_statement(server: RawTools, folder: Path) -> None:
    assert server.call("execute", sql=COMMENTED, database="shop.duckdb")["changed_rows"] == 1
    assert server.call("query", sql="SELECT a FROM t", database="shop.duckdb")["rows"] == [[3]]
    counted = COMMENTED.replace("DELETE", "SELECT count(*)").replace("a = 1", "a = 3")
    assert server.call("query", sql=counted, database="shop.duckdb")["rows"] == [[1]]
    assert (folder / "shop.duckdb").exists()


CHANGES = """CREATE TABLE n (w VARCHAR, a INTEGER); INSERT INTO n VALUES ('José', 1);
INSERT INTO n SELECT 'José', a FROM 'a.csv';
INSERT INTO n SELECT 'José', a FROM read_csv('a.csv');
COPY (SELECT w AS "José" FROM n WHERE w = 'José') TO 'n.csv'; -- José"""


@pytest.mark.parametrize("word", ["José", "日本語", "😀😀"])
def test_statements_may_have_letters_of_any_script_before_files_and_semicolons(
    server: RawTools, folder: Path, word: str
) -> None:
    told = server.call("execute", sql=CHANGES.replace("José", word), database="shop.duckdb")
    assert told["changed_rows"] == 5
    assert (folder / "n.csv").read_text() == "\n".join([word] * 6) + "\n"
    export = "SELECT 'José' AS w FROM 'n.csv'; -- José".replace("José", word)
    server.call("export", sql=export, file="w.csv")
    assert (folder / "w.csv").read_text().splitlines() == ["w", *[word] * 5]
    profile = "SELECT 'José' AS w, * FROM read_csv('a.csv');".replace("José", word)
    assert server.call("profile", sql=profile)["rows"] == 2


def test_copy_writes_files_in_place_of_what_is_there(server: RawTools, folder: Path) -> None:
    statements = (
        *("UPDATE t SET b = 7", "COPY t TO 'o/t.parquet'", "COPY t(b) TO 'in.csv'"),
        "COPY (SELECT ')' AS \"to\") TO 'x' (FORMAT json)",
    )
    told = server.call("execute", sql="; ".join(statements), database="shop.duckdb")
    assert [(one["file"], one["rows"]) for one in told["files"]] == [("o/t.parquet", 2), ("a.csv", 2), ("x", 1)]
    assert server.call("query", sql="FROM 'o/t.parquet'")["rows"] == [[1, 7], [3, 7]]
    assert (folder / "x").read_text() == '[\n{"to":")"}\n]\n'
    assert (folder / "a.csv").read_text() == "b\n7\n7\n"
    assert (folder / "in.csv").is_symlink()
    assert [path.name for path in (folder / "o").iterdir()] == ["t.parquet"]
    told = server.call("execute", sql="CREATE TABLE y AS FROM 'a.csv'; COPY y TO 'y.jsonl'")
    assert (told["database"], (folder / "y.jsonl").read_text()) == (None, '{"b":7}\n{"b":7}\n')


@pytest.mark.promise("changes-stay-where-allowed")
@pytest.mark.parametrize("database", ["shop.duckdb", "shop.sqlite"])
def test_when_a_statement_fails_none_has_taken_effect(server: RawTools, folder: Path, database: str) -> None:
    before = state(folder)
    failing = ["DELETE FROM t; INSERT INTO t VALUES (1)", "DROP TABLE t; DELETE FROM nothing"]
    if database == "shop.duckdb":
        failing.append("COPY t TO 'a.csv'; INSERT INTO t VALUES ('x', 1)")
    for sql in failing:
        assert server.refusal("execute", sql=sql, database=database)
    assert state(folder) == before


@pytest.mark.promise("changes-stay-where-allowed")
@pytest.mark.parametrize(
    "sql",
    [
        "WITH x AS (COPY (SELECT 7 AS k) TO 'a.csv' (USE_TMP_FILE false)) INSERT INTO t SELECT 1, k FROM x",
        "WITH x AS (COPY (SELECT 7 AS k) TO '/tmp/x.csv') INSERT INTO t SELECT 1, k FROM x",
        "CREATE TABLE y AS WITH x AS (COPY (FROM 'a.csv') TO 'a.csv' (USE_TMP_FILE false)) FROM x",
        "COPY (WITH x AS (COPY (SELECT 7 AS k) TO 'a.csv' (USE_TMP_FILE false)) FROM x, 'a.csv') TO 'new.csv'",
        "COPY t TO '../x.csv'",
        "COPY t TO '/etc/x.csv'",
        "COPY t TO 'out.csv'",
        "COPY t TO 'away/x.csv'",
        "COPY t TO 'shop.duckdb' (FORMAT csv)",
        "COPY t TO 'new.csv'; COPY t TO '/workspace/new.csv'",
        "COPY t TO 'parts' (FORMAT csv, PARTITION_BY (a))",
        "COPY t TO 'https://example.com/x.csv' (FORMAT csv, HEADER)",
        "COPY t FROM '/etc/passwd'",
        "COPY t FROM 'a.csv'",
        "COPY FROM DATABASE database TO memory",
        "ATTACH 'new.duckdb' AS x",
        "ATTACH '/tmp/new.duckdb' AS x; CREATE TABLE x.y AS FROM t",
        "DETACH database",
        "USE memory",
        "EXPORT DATABASE 'new'",
        "IMPORT DATABASE 'new'",
        "PRAGMA enable_profiling = 'json'",
        "PRAGMA database_size",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "SET allowed_directories = ['/']",
        "CALL enable_logging(storage = 'file')",
        "CHECKPOINT",
        "VACUUM",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE TABLE y AS FROM read_text('/etc/passwd')",
        "CREATE TABLE y AS FROM read_text('/e' || 'tc/passwd')",
        "CREATE TABLE y AS FROM query('FROM read_text(''/etc/passwd'')')",
        "INSERT INTO t FROM read_csv('out.csv')",
        "CREATE TABLE y AS FROM glob('/etc/*')",
        "CREATE TABLE y AS FROM 'https://example.com/a.csv'",
        "CREATE TABLE y AS SELECT getenv('PATH') AS e",
        "CREATE TABLE memory.main.lost AS SELECT 1",
        "CREATE VIEW memory.lost AS SELECT 1",
        "CREATE SEQUENCE memory.main.lost",
        "PIVOT t ON a USING sum(b)",
        "CREATE TABLE y AS PIVOT t ON a USING sum(b)",
        "COPY t TO 'x.csv'; COPY t TO 'x.csv/y.csv'",
        "COPY t TO 'shop.duckdb.wal' (FORMAT csv)",
        "COPY t TO 'fresh/deep/x.csv'; DELETE FROM nothing",
        "COPY (SELECT CASE WHEN r = 4500 THEN error('no') ELSE 'x' END FROM range(9000) q(r)) TO 'fresh/x.csv'",
        "SELECT 1",
        "BEGIN",
        "-- nothing",
    ],
)
def test_no_statement_reaches_more_than_the_database_and_the_named_files(
    server: RawTools, folder: Path, sql: str
) -> None:
    before = state(folder)
    result = server.result("execute", sql=sql, database="shop.duckdb")
    if result["isError"]:
        assert state(folder) == before
    else:  # then it read nothing
        assert server.call("query", sql="SELECT count(*) FROM y", database="shop.duckdb")["rows"] == [[0]]
    assert "root:" not in str(result)
    assert {name for name in state(folder) if name.startswith(".")} == set()


@pytest.mark.promise("changes-stay-where-allowed")
def test_a_trigger_that_a_stranger_made_reaches_no_other_file(server: RawTools, folder: Path) -> None:
    with sqlite3.connect(folder / "evil.sqlite") as evil:
        evil.execute("CREATE TABLE t (a)")
        evil.execute("CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT load_extension('/workspace/x.so'); END")
    evil.close()
    (folder / "evil.sqlite").chmod(0o666)
    assert server.refusal("execute", sql="INSERT INTO t VALUES (1)", database="evil.sqlite")
    assert server.refusal("execute", sql="ATTACH 'shop.sqlite' AS s; DELETE FROM s.t", database="evil.sqlite")
    assert server.call("query", sql="FROM t", database="shop.sqlite")["rows"] == [[1, 2]]


@pytest.mark.promise("changes-stay-where-allowed")
@pytest.mark.parametrize("ending", ["-wal", "-journal", ".wal"])
def test_no_log_beside_a_database_is_played_into_it(server: RawTools, folder: Path, ending: str) -> None:
    database = "shop.duckdb" if ending == ".wal" else "shop.sqlite"
    mark = bytes.fromhex("d9d505f920a163d7") if ending == "-journal" else b"rows"
    (folder / f"{database}{ending}").write_bytes(mark + b"x" * 600)
    before = state(folder)
    assert f"{database}{ending}" in server.refusal("execute", sql="DELETE FROM t", database=database)
    if ending != ".wal":
        assert f"{database}{ending}" in server.refusal("query", sql="FROM t", database=database)
    assert state(folder) == before


@pytest.mark.promise("changes-stay-where-allowed")
def test_a_database_is_changed_through_no_link_out_of_the_workspace(server: RawTools, folder: Path) -> None:
    (folder / "far.duckdb").symlink_to("/tmp/far.duckdb")
    for database in ("far.duckdb", "away/new.duckdb", "../new.duckdb", "/tmp/new.duckdb", "a.csv"):
        assert server.refusal("execute", sql="CREATE TABLE y (a INTEGER)", database=database)
    (folder / "near.duckdb").symlink_to("shop.duckdb")
    assert server.call("execute", sql="DELETE FROM t", database="near.duckdb")["changed_rows"] == 2
    assert (folder / "near.duckdb").is_symlink()


@pytest.mark.promise("changes-stay-where-allowed")
def test_without_the_operators_word_nothing_is_changed(data_image: str, server: RawTools, folder: Path) -> None:
    before = state(folder)
    with raw_tools(boxed_on(data_image, "data", folder)) as closed:
        for sql in ("DELETE FROM t", "COPY t TO 'new.csv'"):
            assert "DATA_WRITE: allow" in closed.refusal("execute", sql=sql, database="shop.duckdb")
    assert state(folder) == before
    assert server.call("query", sql="FROM t", database="shop.duckdb")["total_rows"] == 2


def test_what_is_temporary_by_its_name_may_be_used_within_a_call(server: RawTools, folder: Path) -> None:
    sql = "CREATE TEMP TABLE y AS FROM t; INSERT INTO t FROM y; CREATE TABLE z AS PIVOT t ON a IN (1, 3) USING sum(b)"
    assert server.call("execute", sql=sql, database="shop.duckdb")["changed_rows"] >= 4
    assert (folder / "shop.duckdb").exists()


def test_an_error_in_a_late_row_is_told_as_it_is_and_an_export_leaves_nothing(server: RawTools, folder: Path) -> None:
    before = state(folder)
    late = "SELECT CASE WHEN r = {} THEN error('boom') ELSE 'x' END AS x FROM range(200000) q(r)"
    # Of a query no more rows are computed than are asked for.
    for tool, row, more in (("query", 500, {"max_rows": 1_000}), ("export", 150_000, {"file": "fresh/deep/x.csv"})):
        told = server.refusal(tool, sql=late.format(row), **more)
        assert "boom" in told
        assert "process" not in told
    assert state(folder) == before


@pytest.mark.promise("changes-stay-where-allowed")
@pytest.mark.parametrize("database", ["shop.duckdb", "shop.sqlite"])
def test_a_database_that_a_program_elsewhere_has_locked_is_not_replaced(
    server: RawTools, folder: Path, database: str
) -> None:
    before = state(folder)
    with (folder / database).open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # DuckDB's is on the whole file, as SQLite's at its end
        assert "open in another program" in server.refusal("execute", sql="DELETE FROM t", database=database)
    assert state(folder) == before
    assert server.call("execute", sql="DELETE FROM t", database=database)["changed_rows"] > 0


def test_what_takes_too_long_changes_nothing(server: RawTools, folder: Path) -> None:
    before = state(folder)
    endless = "INSERT INTO t SELECT x, x FROM range(10000000000000) r(x) WHERE x % 7 = sqrt(x) + 1"
    assert "took longer than 3 s" in server.refusal("execute", sql=endless, database="shop.duckdb", timeout_seconds=3)
    assert state(folder) == before
