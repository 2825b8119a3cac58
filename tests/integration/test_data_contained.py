"""The data server in its image: what it answers, and broken files."""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_state import installation
from raw_tools import RawTools, boxed_on, raw_tools
from servers_harness import as_leased, leased

from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings

pytestmark = pytest.mark.timeout(240)

SALES = "region,amount,day\nnorth,10.5,2026-01-01\nsouth,20,2026-01-02\nnorth,,2026-01-03\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("data")
    (top / "sales").mkdir(mode=0o755)
    (top / "sales" / "a.csv").write_text(SALES)
    (top / "sales" / "b.csv").write_text("region,amount,day\nwest,1,2026-02-01\n")
    (top / "z.csv.gz").write_bytes(gzip.compress(b"a\n1\n2\n"))
    (top / "j.json").write_text(json.dumps([{"a": 1, "b": {"c": [1, 2]}}, {"a": 2, "b": None}]))
    with sqlite3.connect(top / "shop.sqlite") as shop:
        shop.execute("CREATE TABLE orders (id INTEGER, who TEXT, price REAL, mixed)")
        rows = [(n, f"p{n % 3}", n * 1.5, n if n % 2 else "t") for n in range(12_000)]
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    shop.close()
    (top / "bad.csv").write_bytes(b'\x00\x01\xff\xfe,,,\n"\n')
    (top / "bad.parquet").write_bytes(b"PAR1 nope PAR1")
    (top / "bad.json").write_text('{"a": [')
    (top / "bad.csv.gz").write_bytes(b"no gzip at all")
    (top / "bad.sqlite").write_bytes(b"SQLite format 3\0" + b"x" * 500)
    (top / "bad.duckdb").write_bytes(b"x" * 8 + b"DUCK" + b"x" * 9_000)
    (top / "bomb.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 30_000_000, compresslevel=1))
    (top / "empty.csv").touch()
    return top


@pytest.fixture(scope="module")
def server(data_image: str, folder: Path) -> Iterator[RawTools]:
    with raw_tools(boxed_on(data_image, "data", folder)) as tools:
        yield tools


def test_files_are_tables_by_their_paths(server: RawTools) -> None:
    told = server.call("query", sql="SELECT region, sum(amount) AS s FROM 'sales/*.csv' GROUP BY 1 ORDER BY 1")
    assert told["rows"] == [["north", 10.5], ["south", 20], ["west", 1]]
    assert told["columns"] == [{"name": "region", "type": "VARCHAR"}, {"name": "s", "type": "DOUBLE"}]
    assert server.call("query", sql="FROM '/workspace/sales/a.csv' LIMIT 1")["rows"] == [["north", 10.5, "2026-01-01"]]
    assert server.call("query", sql="FROM read_csv('sales/a.csv', all_varchar=true)")["rows"][1][1] == "20"
    assert server.call("query", path="z.csv.gz")["rows"] == [[1], [2]]
    assert server.call("query", sql='SELECT a, b.c FROM "j.json"')["rows"] == [[1, "[1,2]"], [2, None]]
    assert server.call("query", sql="PIVOT 'sales/a.csv' ON region USING sum(amount) GROUP BY day")["total_rows"] == 3


def test_a_result_is_bounded_and_counted(server: RawTools) -> None:
    told = server.call("query", sql="FROM range(100000); -- all", max_rows=2)
    assert (told["rows"], told["total_rows"], told["complete"]) == ([[0], [1]], 100_000, False)
    told = server.call("query", sql="SELECT repeat('x', 100000) FROM range(50)", max_rows=50)
    assert all(len(row[0]) == 2_000 for row in told["rows"])
    assert (told["total_rows"], told["cut_cells"], told["complete"]) == (50, 50, False)


def test_values_that_json_does_not_have_are_texts(server: RawTools) -> None:
    sql = "SELECT 2::HUGEINT ** 70, 'nan'::DOUBLE, 1.10::DECIMAL(9, 2), 'ab'::BLOB, DATE '2026-01-02', 9007199254740993"
    (row,) = server.call("query", sql=sql)["rows"]
    assert row[1:] == ["nan", 1.1, "6162", "2026-01-02", "9007199254740993"]
    assert server.call("query", sql="SELECT TIMESTAMPTZ '2026-01-02 03:04:05+01'")["rows"] == [
        ["2026-01-02T02:04:05+00:00"]
    ]


def test_the_tables_of_a_sqlite_file_are_there(server: RawTools) -> None:
    sql = "SELECT who, count(*), sum(price) FROM orders GROUP BY 1 ORDER BY 1"
    assert server.call("query", sql=sql, database="shop.sqlite")["rows"][0] == ["p0", 4_000, 35_991_000]
    (table,) = server.call("schema", database="shop.sqlite")["tables"]
    assert [column["type"] for column in table["columns"]] == ["BIGINT", "VARCHAR", "DOUBLE", "VARCHAR"]


def test_the_schema_of_all_files_is_told_and_which_are_broken(server: RawTools) -> None:
    tables = {table["name"]: table for table in server.call("schema")["tables"]}
    assert [column["name"] for column in tables["sales/a.csv"]["columns"]] == ["region", "amount", "day"]
    assert (tables["shop.sqlite"]["columns"], tables["shop.sqlite"]["problem"]) == ([], None)
    assert all(tables[name]["problem"] for name in ("bad.csv", "bad.parquet", "bad.json", "bad.csv.gz"))


def test_columns_are_profiled(server: RawTools) -> None:
    told = server.call("profile", path="sales/a.csv", top=1)
    region, amount, day = told["columns"]
    assert (told["rows"], amount["nulls"], amount["distinct"], amount["mean"]) == (3, 1, 2, 15.25)
    assert amount["quartiles"] == [12.875, 15.25, 17.625]
    assert region["top"] == [{"value": "north", "count": 2}]
    assert (day["min"], day["max"], day["mean"]) == ("2026-01-01", "2026-01-03", None)
    assert server.call("profile", path="j.json")["columns"][1]["nulls"] == 1


@pytest.mark.parametrize("kind", ["line", "bar", "scatter", "histogram", "box", "pie"])
def test_a_chart_is_a_picture_to_look_at(server: RawTools, kind: str) -> None:
    sql = "SELECT region, sum(amount) AS \"a $ b\" FROM 'sales/*.csv' GROUP BY 1"
    told = server.call("chart", kind=kind, sql=sql, title="$x_1", y=["a $ b"])
    assert (told["points"], told["series"], told["file"]) == (3, ["a $ b"], None)
    assert server.content[1]["mimeType"] == "image/png"
    assert base64.b64decode(server.content[1]["data"]).startswith(b"\x89PNG")


def test_a_chart_is_written_once_and_replaced_only_if_told(server: RawTools, folder: Path) -> None:
    wanted = {"kind": "bar", "path": "sales/a.csv", "y": ["amount"], "file": "charts/a.svg"}
    assert server.call("chart", **wanted)["file"] == "charts/a.svg"
    assert "<svg" in (folder / "charts" / "a.svg").read_text()
    assert "exists already" in server.refusal("chart", **wanted)
    server.call("chart", **wanted, overwrite=True)
    assert [path.name for path in (folder / "charts").iterdir()] == ["a.svg"]


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "parquet"])
def test_what_is_exported_is_read_again_as_it_was(server: RawTools, folder: Path, form: str) -> None:
    sql = "SELECT *, '' AS e, 'a\"b,\nc' AS q, [1, 2] AS l, 1.10::DECIMAL(5, 2) AS d FROM 'sales/a.csv'"
    told = server.call("export", sql=sql, file=f"out/x.{form}", format=form)
    assert (told["rows"], told["size_bytes"]) == (3, (folder / "out" / f"x.{form}").stat().st_size)
    again = server.call("query", sql="SELECT region, amount, day, q, d FROM 'out/x.FORM'".replace("FORM", form))
    assert again["rows"][2] == ["north", None, "2026-01-03", 'a"b,\nc', 1.1]
    assert sorted(path.name for path in (folder / "out").iterdir() if path.name.startswith(".")) == []
    assert "exists already" in server.refusal("export", sql=sql, file=f"out/x.{form}", format=form)


def test_json_has_long_values_and_lists_as_they_are(server: RawTools, folder: Path) -> None:
    sql = "SELECT repeat('x', 5000) AS t, [1, NULL] AS l, {'a': repeat('y', 3000), 'b': DATE '2026-01-02'} AS s"
    server.call("export", sql=sql, file="long/x.json", format="json")
    (row,) = json.loads((folder / "long" / "x.json").read_text())
    assert row == {"t": "x" * 5_000, "l": [1, None], "s": {"a": "y" * 3_000, "b": "2026-01-02"}}
    assert "same name" in server.refusal("export", sql="SELECT 1 AS v, 2 AS v", file="long/y.json", format="json")


def test_a_failed_export_leaves_nothing(server: RawTools, folder: Path) -> None:
    for form in ("csv", "parquet"):
        server.refusal("export", sql="SELECT CAST('x' AS INTEGER)", file=f"failed/x.{form}", format=form)
        assert not (folder / "failed").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"path": "bad.csv"}, "bad.csv cannot be read"),
        ({"path": "bad.parquet"}, "bad.parquet cannot be read"),
        ({"path": "bad.json"}, "bad.json cannot be read"),
        ({"path": "bad.csv.gz"}, "bad.csv.gz cannot be read"),
        ({"path": "sales"}, "is a folder"),
        ({"path": "nothing.csv"}, "does not exist"),
        ({"path": "none/*.csv"}, "does not exist"),
        ({"path": "*.tsv"}, "No file fits"),
        ({"sql": "SELECT 1", "database": "bad.sqlite"}, "cannot be read as SQLite"),
        ({"sql": "SELECT 1", "database": "bad.duckdb"}, "cannot be opened"),
        ({"sql": "SELECT 1", "database": "sales/a.csv"}, "no SQLite and no DuckDB"),
        ({"sql": "SELEC 1"}, "cannot be read"),
        ({"sql": "SELECT 1; SELECT 2"}, "one statement"),
        ({"sql": "-- nothing"}, "one statement"),
        ({}, "Give sql"),
        ({"sql": "SELECT 1", "path": "sales/a.csv"}, "not both"),
        ({"sql": 7}, "must be a string"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(
    server: RawTools, arguments: dict[str, object], complaint: str
) -> None:
    assert complaint in server.refusal("query", **arguments)


def test_what_takes_too_long_or_too_much_is_ended_and_the_server_goes_on(server: RawTools) -> None:
    endless = "SELECT count(*) FROM range(10000000000000) t(x) WHERE x % 7 = sqrt(x)"
    assert "took longer than 2 s" in server.refusal("query", sql=endless, timeout_seconds=2)
    said = server.refusal("query", sql="SELECT list(x) FROM range(1000000000) t(x)")
    assert "emory" in said
    told = server.call("query", sql="SELECT count(*) FROM 'bomb.csv.gz'")
    assert told["rows"] == [[30_000_000]]


async def test_in_the_sandbox_of_its_manifest_it_exports_asks_draws_and_changes(
    engine_socket: Path, data_image: str
) -> None:
    allowed = as_leased("data", data_image, "asked").model_copy(update={"environment": {"DATA_WRITE": "allow"}})
    async with (
        DockerBackend(EngineSettings(socket=engine_socket), installation("asked")) as backend,
        leased(backend, allowed) as client,
    ):
        export = {"sql": "SELECT range AS n, n * n AS s FROM range(50)", "file": "a.parquet", "format": "parquet"}
        assert not (await client.call_tool("export", export)).is_error
        heard: list[str | None] = []

        async def hear(_progress: float, _total: float | None, message: str | None) -> None:
            heard.append(message)

        told = await client.call_tool("query", {"sql": "SELECT sum(s) FROM 'a.parquet'"}, progress_callback=hear)
        assert "answer" not in str(heard)  # what the process of a query says to the server is no progress
        assert told.structured_content
        assert told.structured_content["rows"] == [[40_425]]
        drawn = await client.call_tool("chart", {"kind": "line", "path": "a.parquet"})
        assert [block.type for block in drawn.content] == ["text", "image"], drawn.content
        change = {"sql": "CREATE TABLE t AS FROM 'a.parquet'; DELETE FROM t WHERE n > 9", "database": "a.duckdb"}
        changed = await client.call_tool("execute", change)
        assert changed.structured_content, changed.content
        assert (changed.structured_content["changed_rows"], changed.structured_content["files"]) == (90, [])
