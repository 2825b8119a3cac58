from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from PIL import Image
from running import Running, running_runtime

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.timeout(120)


def test_the_csv_report_comes_back_as_numbers_and_a_picture(shared_runtime: Running, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "csv_report.py", "--url", shared_runtime.url, "--out", tmp_path],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    summary = json.loads(done.stdout.splitlines()[0])
    assert summary["rows"] == 5_000
    assert sum(summary["cities"].values()) == 5_000
    picture = Image.open(io.BytesIO((tmp_path / "weekly.png").read_bytes()))
    assert picture.format == "PNG"
    colours = picture.convert("RGB").getcolors(maxcolors=2**24)
    assert len(colours) > 50, "four lines on white have many shades"
    assert shared_runtime.json("tasks", "list")["tasks"] == []


@contextmanager
def shop(folder: Path) -> Iterator[str]:
    """A table of sales over three pages, on this machine; `HOST:PORT`."""
    for number in (1, 2, 3):
        rows = "".join(f"<tr><td>{city}</td><td>{number}.50</td></tr>" for city in ("Berlin", "Kraków", "Malmö"))
        more = f'<a rel="next" href="sales{number + 1}.html">next</a>' if number < 3 else ""
        page = f"<meta charset=utf-8><table><tr><th>city</th><th>amount</th></tr>{rows}</table>{more}"
        (folder / f"sales{number}.html").write_text(page, "utf-8")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.timeout(240)
def test_a_table_of_a_site_becomes_a_report_with_a_chart(browser_image: str, documents_images: object, tmp_path: Path):
    del browser_image, documents_images
    (tmp_path / "site").mkdir()
    with shop(tmp_path / "site") as host:
        sections = {"servers": {"browser": {"network": {"allow": [host]}}}, "egress": {"private": [host]}}
        with running_runtime(tmp_path / "home", sections) as running:
            subprocess.run(
                [
                    *(sys.executable, EXAMPLES / "site_report.py", f"http://{host}/sales1.html"),
                    *("--url", running.url, "--out", tmp_path),
                ],
                capture_output=True,
                text=True,
                timeout=180,
                check=True,
            )
            leased = running.run("journal", "tail", "-n", "500", "--kind", "sandbox.leased", "--json").stdout
            used = {json.loads(line)["data"]["server"] for line in leased.splitlines()}
            assert running.json("tasks", "list")["tasks"] == []
    with zipfile.ZipFile(tmp_path / "report.docx") as report:
        words = report.read("word/document.xml").decode()
        pictures = [name for name in report.namelist() if name.startswith("word/media/")]
    assert "9 sales" in words
    assert all(city in words for city in ("Berlin", "Kraków", "Malmö"))
    assert words.count("7.5") == 3, "each city sold for 1.5, 2.5 and 3.5"
    assert len(pictures) == 1
    with Image.open(tmp_path / "sales.png") as chart:
        assert chart.size > (300, 200)
    assert {"browser", "files", "data", "documents"} <= used
