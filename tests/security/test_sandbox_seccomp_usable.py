"""What people run must run: a defence that is switched off since nothing works under it is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from attack import findings


@pytest.mark.promise("no-kernel-surface")
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["node", "-e", "console.log(require('os').networkInterfaces().lo.length > 0)"], "true"),
        (
            ["node", "-e", "const {Worker}=require('worker_threads');new Worker('console.log(6*7)',{eval:true})"],
            "42",
        ),
        (["node", "-e", "console.log(require('child_process').execSync('echo child').toString().trim())"], "child"),
        (["bash", "-c", "set -o pipefail; cat <(echo a) | tr a b | tee /tmp/out; wait"], "b"),
        (
            ["python3", "-c", "import numpy; print(int((numpy.ones((300, 300)) @ numpy.ones((300, 300))).sum()))"],
            "27000000",
        ),
        (["python3", "-c", "import pandas; print(pandas.DataFrame({'a': [1, 2]})['a'].sum())"], "3"),
        (
            ["python3", "-c", "import multiprocessing as m; print(m.get_context('fork').Pool(2).map(abs, [-1, -2]))"],
            "[1, 2]",
        ),
        (["python3", "-c", "import sqlite3; print(sqlite3.connect('/tmp/db').execute('select 7').fetchone()[0])"], "7"),
        (["python3", "-c", "import asyncio; print(asyncio.run(asyncio.sleep(0, 'slept')))"], "slept"),
    ],
    ids=["node", "node worker", "node child", "bash", "numpy", "pandas", "multiprocessing", "sqlite", "asyncio"],
)
async def test_common_programs_run_under_the_profile(
    engine_socket: Path, python_image: str, command: list[str], expected: str
) -> None:
    script = f"""
        run = subprocess.run({command!r}, capture_output=True, text=True)
        say([run.stdout.strip(), run.stderr[-500:]])
    """
    stdout, stderr = await findings(engine_socket, python_image, script, limits={"cpus": 2})
    assert stdout == expected, stderr
