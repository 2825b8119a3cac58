from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from muxi_runtime.errors import SetupError
from muxi_runtime.setup.home import hold_home, prepare_home, running_process, start_ticks

HOLDER = """
import sys
from pathlib import Path
from muxi_runtime.setup.home import hold_home
with hold_home(Path(sys.argv[1])) as answers_at:
    answers_at("http://127.0.0.1:1/mcp")
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    prepare_home(path)
    return path


@pytest.fixture
def holder(home: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_state_folder_is_private(home: Path):
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "logs").stat().st_mode) == 0o700


def test_rights_of_others_to_an_old_folder_are_taken_away(tmp_path: Path):
    tmp_path.chmod(0o755)
    prepare_home(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_file_in_place_of_the_folder_is_a_clear_error(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(SetupError, match=f"{path} cannot be used") as caught:
        prepare_home(path)
    assert caught.value.step == "home"
    assert "MUXI_HOME" in caught.value.remedy


def test_the_holder_is_found_with_its_url(home: Path, holder: subprocess.Popen[str]):
    running = running_process(home)
    assert running is not None
    assert (running.pid, running.url) == (holder.pid, "http://127.0.0.1:1/mcp")


@pytest.mark.usefixtures("holder")
def test_a_second_runtime_of_one_home_is_refused(home: Path):
    with pytest.raises(SetupError, match="Another runtime already uses"), hold_home(home):
        pass
    assert running_process(home) is not None


def test_a_killed_holder_leaves_the_home_free(home: Path, holder: subprocess.Popen[str]):
    holder.kill()
    holder.wait()
    assert (home / "runtime.json").exists()
    assert running_process(home) is None
    with hold_home(home):
        pass


def test_leaving_in_order_leaves_no_record(home: Path):
    with hold_home(home):
        assert (home / "runtime.json").exists()
    assert not (home / "runtime.json").exists()


@pytest.mark.usefixtures("holder")
def test_a_record_of_another_process_with_that_number_does_not_count(home: Path):
    mine = {"pid": os.getpid(), "started": (start_ticks(os.getpid()) or 0) - 1, "url": ""}
    (home / "runtime.json").write_text(json.dumps(mine))
    assert running_process(home) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "null"])
@pytest.mark.usefixtures("holder")
def test_a_damaged_record_counts_for_nothing(home: Path, text: str):
    (home / "runtime.json").write_text(text)
    assert running_process(home) is None


def test_there_is_no_start_time_of_a_process_that_is_gone():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert start_ticks(process.pid) is None
