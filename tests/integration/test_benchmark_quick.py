from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from docker import APIClient

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(280)
def test_the_quick_benchmark_measures_everything_and_leaves_nothing_behind(
    tmp_path: Path, engine_socket: Path, python_image: str
):
    del python_image
    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--quick", "--out", tmp_path],
        cwd=ROOT,
        check=True,
        timeout=240,
        stdout=subprocess.DEVNULL,
    )
    found = json.loads((tmp_path / "bench.json").read_text())
    assert len(found["figures"]) >= 15
    assert all(figure["samples"] and figure["median"] > 0 for figure in found["figures"])
    assert all(ratio["value"] > 0 for ratio in found["ratios"])
    with APIClient(base_url=f"unix://{engine_socket}", version="auto") as client:
        assert client.containers(all=True, filters={"label": "muxi.bench"}) == []
    assert (tmp_path / "bench.md").read_text().count("|") > 50
