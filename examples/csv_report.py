"""Put a CSV file of a few thousand rows into a task's workspace, analyse it in a sandbox, and look at the chart.

    muxi-runtime up
    python examples/csv_report.py [--url http://127.0.0.1:7890/mcp] [--key KEY] [--out FOLDER]

Nothing here runs on the host: `files` writes the table, `code` computes and draws, `files` reads the picture back. The
two sandboxes share the task's workspace and nothing else.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

ROWS = 5_000
CITIES = ("Berlin", "Kraków", "Lisboa", "Malmö")

ANALYSIS = """
import json, pandas as pd, matplotlib.pyplot as plt

sales = pd.read_csv("sales.csv", parse_dates=["day"])
by_city = sales.groupby("city")["amount"].agg(["count", "sum", "mean"]).round(2)
weekly = sales.set_index("day").groupby("city")["amount"].resample("W").sum().unstack(0)
figure, axes = plt.subplots(figsize=(7, 4))
weekly.plot(ax=axes, title="Sales by week")
figure.tight_layout()
figure.savefig("weekly.png")
print(json.dumps({"rows": len(sales), "cities": by_city["count"].to_dict(), "total": round(sales["amount"].sum(), 2)}))
"""


def table(rows: int) -> str:
    """Made-up sales, the same at each run."""
    chance = random.Random(7)  # noqa: S311 # nosec B311 # an example's data, not a secret
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["day", "city", "amount"])
    for row in range(rows):
        day = f"2026-{row * 9 // rows + 1:02}-{row % 28 + 1:02}"
        writer.writerow([day, chance.choice(CITIES), round(chance.lognormvariate(3, 1), 2)])
    return text.getvalue()


async def report(url: str, key: str | None, rows: int = ROWS) -> tuple[dict[str, Any], bytes]:
    """What the analysis printed, and the chart as PNG."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=120) as http,
        Client(streamable_http_client(url, http_client=http, max_sse_event_size=None)) as client,
    ):
        made: Any = await client.call_tool("muxi__task_new", {})
        task = made.structured_content["task"]
        meta: Any = {"muxi/task": task}
        await client.call_tool("files__write", {"path": "sales.csv", "content": table(rows)}, meta=meta)
        analysis: Any = await client.call_tool("code__run", {"language": "python", "code": ANALYSIS}, meta=meta)
        if analysis.is_error:
            raise SystemExit(analysis.content[0].text)
        chart: Any = await client.call_tool("files__read", {"path": "weekly.png"}, meta=meta)
        await client.call_tool("muxi__task_end", {"task": task})
    image = next(part for part in chart.content if part.type == "image")
    return json.loads(analysis.structured_content["stdout"]), base64.b64decode(image.data)


def main() -> None:
    """Run it and say what came out."""
    options = argparse.ArgumentParser(description="Analyse a CSV file in a sandbox.")
    options.add_argument("--url", default="http://127.0.0.1:7890/mcp")
    options.add_argument("--key")
    options.add_argument("--out", type=Path, default=Path())
    chosen = options.parse_args()
    summary, chart = anyio.run(report, chosen.url, chosen.key)
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "weekly.png").write_bytes(chart)
    print(json.dumps(summary, ensure_ascii=False))
    print(f"The chart is in {chosen.out / 'weekly.png'} ({len(chart)} bytes).")


if __name__ == "__main__":
    main()
