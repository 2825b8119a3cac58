"""The tool `run` of the code server, through the SDK's client."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from servers_harness import local, text_of

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\xdac\xfc\xcf\xc0P\x0f\x00\x04\x85\x01\x80\x84\xa9\x8c!\x00\x00\x00\x00IEND\xaeB`\x82"
)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with Client(local("code", tmp_path)) as client:
        yield client


async def run(client: Client, code: str, language: str = "python", **more: Any) -> dict[str, Any]:
    result = await client.call_tool("run", {"language": language, "code": code, **more})
    assert not result.is_error, result.content
    assert result.structured_content
    return result.structured_content


async def refusal(client: Client, **arguments: Any) -> str:
    result = await client.call_tool("run", arguments)
    assert result.is_error
    return text_of(result)


async def test_python_runs_as_a_script_would(client: Client, tmp_path: Path) -> None:
    code = "import sys, os\nprint(__name__, sys.argv[1:], os.getcwd(), sys.stdin.read())\nsys.exit(7)"
    result = await run(client, code, args=["a b", "ü"], stdin="in\n")
    assert result["stdout"] == f"__main__ ['a b', 'ü'] {tmp_path} in\n\n"
    assert result["exit_code"] == 7
    assert result["ended_by"] == "exit"


async def test_bash_and_javascript_get_arguments_and_input(client: Client) -> None:
    result = await run(client, 'read x; echo "$1 $x"; exit 3', "bash", args=["a b"], stdin="in")
    assert (result["stdout"], result["exit_code"]) == ("a b in\n", 3)
    result = await run(client, "console.log(process.argv[2]); process.exit(4)", "javascript", args=["a b"])
    assert (result["stdout"], result["exit_code"]) == ("a b\n", 4)


async def test_an_error_of_the_users_shows_only_their_frames(client: Client) -> None:
    result = await run(client, "def f():\n    1/0\nf()")
    assert result["exit_code"] == 1
    assert "ZeroDivisionError" in result["stderr"]
    assert "muxi_servers" not in result["stderr"]
    assert "    f()" in result["stderr"]


async def test_a_syntax_error_is_shown_with_its_line(client: Client) -> None:
    result = await run(client, "x = 1\ny = (\n")
    assert result["exit_code"] == 1
    assert "SyntaxError" in result["stderr"]
    assert "line 2" in result["stderr"]


async def test_the_interpreter_ends_the_ordinary_way(client: Client) -> None:
    code = (
        "import atexit, threading, time\n"
        "atexit.register(print, 'at exit')\n"
        "threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()\n"
        "print('no newline', end='')"
    )
    assert (await run(client, code))["stdout"] == "no newlinethread\nat exit\n"


@pytest.mark.parametrize("thread", ["", "import threading; threading.Thread(target=print, args=('t',)).start()\n"])
async def test_files_left_open_are_written_and_exit_functions_run(client: Client, tmp_path: Path, thread: str) -> None:
    code = (
        f"{thread}import atexit, logging.handlers\n"
        "f = open('left', 'w'); f.write('data')\n"
        "atexit.register(lambda: print('bye', end=''))"
    )
    told = await run(client, code)
    assert told["stdout"].removeprefix("t\n") == "bye"
    assert (tmp_path / "left").read_text() == "data"


@pytest.mark.parametrize(
    ("end", "code", "stderr"),
    [("sys.exit()", 0, ""), ("sys.exit(300)", 44, ""), ("sys.exit('why')", 1, "why\n"), ("sys.exit(False)", 0, "")],
)
async def test_exit_codes_are_those_of_the_interpreter(client: Client, end: str, code: int, stderr: str) -> None:
    told = await run(client, f"import sys\n{end}")
    assert (told["exit_code"], told["stderr"]) == (code, stderr)


async def test_nothing_leaks_from_one_run_to_the_next(client: Client) -> None:
    await run(
        client, "import builtins, os, sys\nbuiltins.leak = 1\nos.environ['LEAK'] = '1'\nsys.modules['leak'] = sys"
    )
    code = (
        "import os, sys\nprint(hasattr(__builtins__, 'leak'), 'LEAK' in os.environ, 'leak' in sys.modules, "
        "[m for m in sys.modules if 'muxi' in m])"
    )
    assert (await run(client, code))["stdout"] == "False False False []\n"


async def test_modules_of_the_workspace_can_be_imported(client: Client, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 42")
    result = await run(client, "import mine; print(mine.x)")
    assert result["stdout"] == "42\n"
    assert result["files"] == {"created": [], "modified": [], "deleted": [], "complete": True}


async def test_a_process_pool_works(client: Client) -> None:
    code = (
        "import multiprocessing as m\n"
        "def f(x): return x * x\n"
        "if __name__ == '__main__':\n"
        "    for how in ('fork', 'spawn'):\n"
        "        with m.get_context(how).Pool(2) as pool: print(pool.map(f, [1, 2, 3]))\n"
    )
    result = await run(client, code)
    assert result["stdout"] == "[1, 4, 9]\n[1, 4, 9]\n", result["stderr"]


async def test_the_environment_is_not_the_servers(client: Client) -> None:
    result = await run(client, "import os; print(sorted(os.environ))")
    names = set(eval(result["stdout"]))  # noqa: S307 - a list of names
    assert names <= {
        *("PATH", "HOME", "TMPDIR", "LANG", "MPLBACKEND", "MPLCONFIGDIR", "PYTHONDONTWRITEBYTECODE", "TZ"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
        *("CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT"),
        "LC_CTYPE",
    }


async def test_the_temporary_folder_is_gone_afterwards(client: Client) -> None:
    code = "import os, tempfile\nd = tempfile.mkdtemp()\nos.makedirs(d + '/a/b'); os.chmod(d, 0)\nprint(d)"
    result = await run(client, code)
    assert result["exit_code"] == 0
    assert not os.path.exists(result["stdout"].strip())  # noqa: ASYNC240, PTH110 - one look


async def test_files_that_it_made_are_told(client: Client, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x")
    (tmp_path / "gone").write_text("x")
    result = await run(client, "mkdir d; echo new > d/new; echo more >> old; rm gone", "bash")
    assert result["files"] == {"created": ["d/new"], "modified": ["old"], "deleted": ["gone"], "complete": True}


async def test_a_working_folder_may_be_given(client: Client, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert (await run(client, "pwd", "bash", cwd="sub"))["stdout"] == f"{tmp_path}/sub\n"


@pytest.mark.parametrize("cwd", ["..", "/etc", "none", "file"])
async def test_a_working_folder_elsewhere_is_refused(client: Client, tmp_path: Path, cwd: str) -> None:
    (tmp_path / "file").touch()
    assert cwd.split("/", maxsplit=1)[0] in await refusal(client, language="bash", code="pwd", cwd=cwd) or cwd in {
        "..",
        "/etc",
    }


async def test_a_program_that_takes_too_long_is_killed_and_its_output_kept(client: Client) -> None:
    result = await run(client, "print('begun', flush=True)\nimport time; time.sleep(1000)", timeout_seconds=0.3)
    assert result["ended_by"] == "timeout"
    assert result["signal"] == "SIGKILL"
    assert result["stdout"] == "begun\n"


async def test_a_signal_that_ends_it_is_named(client: Client) -> None:
    result = await run(client, "kill -SEGV $$", "bash")
    assert (result["signal"], result["exit_code"], result["ended_by"]) == ("SIGSEGV", None, "signal")


async def test_long_output_keeps_its_beginning_and_its_end(client: Client) -> None:
    result = await run(client, "seq 1 20000; seq 1 20000 >&2", "bash", max_output_bytes=1_000)
    assert result["stdout"].startswith("1\n2\n")
    assert result["stdout"].endswith("19999\n20000\n")
    assert f"[... {result['stdout_bytes'] - 1_000} of {result['stdout_bytes']} bytes left out ...]" in result["stdout"]
    assert result["stdout_omitted_bytes"] == result["stdout_bytes"] - 1_000
    assert result["stderr_omitted_bytes"] > 0


async def test_a_program_that_does_not_read_its_input_ends_well(client: Client) -> None:
    result = await run(client, "echo done", "bash", stdin="x" * 1_000_000)
    assert result["stdout"] == "done\n"


async def test_a_program_that_reads_much_and_writes_much_does_not_block(client: Client) -> None:
    result = await run(client, "cat", "bash", stdin="x" * 900_000, max_output_bytes=1_000_000)
    assert result["stdout_bytes"] == 900_000


async def test_output_that_is_no_text_is_replaced(client: Client) -> None:
    assert (await run(client, r"printf 'a\xffb'", "bash"))["stdout"] == "a\ufffdb"


async def test_images_come_only_when_asked(client: Client) -> None:
    code = f"open('p.png', 'wb').write({PNG!r}); open('fake.png', 'w').write('no')"
    result = await client.call_tool("run", {"language": "python", "code": code})
    assert [block.type for block in result.content] == ["text"]
    result = await client.call_tool("run", {"language": "python", "code": code, "return_images": True})
    assert [block.type for block in result.content] == ["text", "image"]
    assert result.structured_content
    assert result.structured_content["images"] == ["p.png"]


async def test_an_image_that_is_a_link_is_not_returned(client: Client, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.png"
    outside.write_bytes(PNG)
    code = f"import os; os.symlink({str(outside)!r}, 'p.png'); os.mkfifo('q.png')"
    result = await client.call_tool("run", {"language": "python", "code": code, "return_images": True})
    assert [block.type for block in result.content] == ["text"]


async def test_an_argument_with_nul_is_refused(client: Client) -> None:
    assert "NUL" in await refusal(client, language="bash", code="x", args=["a\0b"])


async def test_arguments_that_are_too_much_are_refused(client: Client) -> None:
    assert "Use a file" in await refusal(client, language="bash", code="x", args=["x" * 9_000] * 20)


async def test_it_works_when_the_workspace_comes_later(tmp_path: Path) -> None:
    """As in a warm pool: the server is up before the task's workspace is mounted."""
    workspace = tmp_path / "later"
    async with Client(local("code", workspace)) as client:
        assert "no workspace" in await refusal(client, language="bash", code="pwd")
        workspace.mkdir()
        assert (await run(client, "pwd", "bash"))["stdout"] == f"{workspace}\n"
        workspace.rmdir()
