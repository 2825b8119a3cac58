"""A report from a web page: the browser collects a table, `data` analyses it, `documents` writes it up with a chart.

    muxi-runtime up
    python examples/site_report.py http://HOST:PORT/sales.html [--url URL] [--key KEY] [--out FOLDER]

The page's host has to be allowed in muxi.yaml (`servers: {browser: {network: {allow: [HOST:PORT]}}}`, and, if its
address is a private one, `egress: {private: [HOST:PORT]}`). The table spreads over several pages: each but the last has
a link with `rel=next`.

Three sandboxes work on it, and a fourth carries files: only the browser's has a way out, and none shares anything with
the others but the task's workspace. What the page says is never run: its rows go into a file as they are.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client

MAX_PAGES = 20
ROWS = "[...document.querySelectorAll('table tr')].map(row => [...row.cells].map(cell => cell.innerText.trim()))"
HAS_NEXT = "document.querySelector('a[rel=next]') !== null"
BY_CITY = (
    "SELECT city, count(*) AS sales, round(sum(amount), 2) AS total FROM 'sales.csv' GROUP BY city ORDER BY total DESC"
)


class Task:
    """One task of the runtime: each tool call in it shares its workspace."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._meta: Any = {"muxi/task": name}

    async def call(self, tool: str, **arguments: object) -> types.CallToolResult:
        """The tool's result.

        Raises:
            SystemExit: the tool could not do it; with its words.
        """
        result: Any = await self._client.call_tool(tool, arguments, meta=self._meta)
        if result.is_error:
            raise SystemExit(f"{tool}: {result.content[0].text}")
        answer: types.CallToolResult = result
        return answer


async def collect(task: Task, page: str) -> list[list[str]]:
    """The rows of the table on all of its pages, the heading once."""
    await task.call("browser__open", url=page)
    rows: list[list[str]] = []
    for _ in range(MAX_PAGES):
        seen = await task.call("browser__evaluate", code=ROWS)
        found = json.loads(seen.structured_content["result"])
        rows += found if not rows else found[1:]
        more = await task.call("browser__evaluate", code=HAS_NEXT)
        if more.structured_content["result"] != "true":
            break
        await task.call("browser__click", target="a[rel=next]")
    return rows


async def report(client: Client, page: str) -> dict[str, bytes]:
    """Files by name: the report and its chart."""
    made: Any = await client.call_tool("muxi__task_new", {})
    name = made.structured_content["task"]
    task = Task(client, name)
    try:
        rows = await collect(task, page)
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        await task.call("files__write", path="sales.csv", content=text.getvalue())
        summary = (await task.call("data__query", sql=BY_CITY)).structured_content
        await task.call("data__chart", kind="bar", sql=BY_CITY, x="city", y=["total"], title="Sales", file="sales.png")
        await task.call("documents__write", path="report.docx", markdown=words(page, len(rows) - 1, summary["rows"]))
        return {name: await fetch(task, name) for name in ("report.docx", "sales.png")}
    finally:
        await client.call_tool("muxi__task_end", {"task": name})


def words(page: str, count: int, cities: list[list[Any]]) -> str:
    """The report, in Markdown."""
    lines = [f"| {city} | {sales} | {total} |" for city, sales, total in cities]
    table = "\n".join(["| city | sales | total |", "| --- | ---: | ---: |", *lines])
    return f"# Sales\n\n{count} sales, as {page} has them.\n\n{table}\n\n![Sales by city](sales.png)\n"


async def fetch(task: Task, path: str) -> bytes:
    """A file of the workspace."""
    read = await task.call("files__read", path=path)
    part = next(part for part in read.content if part.type in {"image", "resource"})
    return base64.b64decode(part.data if part.type == "image" else part.resource.blob)


async def run(page: str, url: str, key: str | None, folder: Path) -> None:
    """Make the report, and write it below the folder."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=120) as http,
        Client(streamable_http_client(url, http_client=http, max_sse_event_size=None)) as client,
    ):
        files = await report(client, page)
    for name, content in files.items():
        path = anyio.Path(folder / name)
        await path.parent.mkdir(parents=True, exist_ok=True)
        await path.write_bytes(content)
        print(f"{path} ({len(content)} bytes)")


def main() -> None:
    """Run it and say where the report is."""
    options = argparse.ArgumentParser(description="Write a report about a table on a web page.")
    options.add_argument("page")
    options.add_argument("--url", default="http://127.0.0.1:7890/mcp")
    options.add_argument("--key")
    options.add_argument("--out", type=Path, default=Path())
    chosen = options.parse_args()
    anyio.run(run, chosen.page, chosen.url, chosen.key, chosen.out)


if __name__ == "__main__":
    main()
