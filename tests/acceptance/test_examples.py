from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from running import Running

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
