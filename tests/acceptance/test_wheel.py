"""The wheel, built and installed into a clean environment from the lock, as `pip install .` would."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Its output; it must end with 0. The checkout is not on the path of what is run."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MUXI_"))}
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        cwd=cwd,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the locked backend of this environment: nothing is downloaded for it."""
    folder = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        folder,
        ROOT,
    )
    return next(folder.glob("muxi_runtime-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a clean environment that holds the lock and the wheel, and nothing else."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, with_pip=True)
    pip = [folder / "bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    run(*pip, "--no-compile", "--require-hashes", "--requirement", ROOT / "requirements.lock")
    run(*pip, "--no-index", wheel)
    return folder / "bin"


def test_the_command_works(installed: Path, tmp_path: Path):
    assert run(installed / "muxi-runtime", "--version", cwd=tmp_path).startswith("muxi-runtime, version ")
    assert "Commands:" in run(installed / "muxi-runtime", "--help", cwd=tmp_path)


def test_every_dependency_is_in_the_lock(installed: Path):
    assert run(installed / "python", "-m", "pip", "check").strip() == "No broken requirements found."


def test_every_command_can_be_imported(installed: Path, tmp_path: Path):
    program = (
        "from muxi_runtime.cli.main import COMMANDS, program; import click; context = click.Context(program);"
        "print(all(program.get_command(context, name) for name in COMMANDS))"
    )
    assert run(installed / "python", "-I", "-c", program, cwd=tmp_path).strip() == "True"


def test_the_images_are_found_as_from_the_checkout(installed: Path, tmp_path: Path):
    program = (
        "import importlib.util as u, muxi_images; from pathlib import Path;"
        "from muxi_sandbox.docker.images.recipe import load_recipes;"
        "found = load_recipes(Path(muxi_images.__file__).parent, Path(u.find_spec('muxi_servers').origin).parent);"
        "print({name: recipe.digest('x') for name, recipe in found.items()})"
    )
    from_wheel = run(installed / "python", "-I", "-c", program, cwd=tmp_path)
    from_checkout = run(sys.executable, "-I", "-c", program, cwd=tmp_path)
    assert "'code'" in from_wheel
    assert from_wheel == from_checkout


@pytest.mark.parametrize(
    "name",
    [
        "muxi_images/base/Dockerfile",
        "muxi_images/code/image.yaml",
        "muxi_images/seccomp/default.json",
        "muxi_images/shared/apt-install",
        "muxi_servers/code/manifest.yaml",
        "muxi_servers/files/manifest.yaml",
        "muxi_servers/shell/manifest.yaml",
    ],
)
def test_the_wheel_holds_the_data_files(wheel: Path, name: str):
    assert name in zipfile.ZipFile(wheel).namelist()


def test_the_wheel_holds_every_file_of_the_source_packages(wheel: Path):
    """A data file that a build rule forgets would be missed only on someone else's machine."""
    packages = (
        "runtime/muxi_runtime",
        "sandbox/muxi_sandbox",
        "mcp_servers/muxi_servers",
        "generator/muxi_generator",
        "images/muxi_images",
    )
    listed = run("git", "-C", ROOT, "ls-files", *packages).splitlines()
    expected = {path.partition("/")[2] for path in listed if (ROOT / path).exists()}
    assert expected <= set(zipfile.ZipFile(wheel).namelist())


def test_the_locks_name_no_registry_and_no_folder():
    for name in (
        "requirements.lock",
        "requirements-dev.lock",
        "requirements-bench.lock",
        "tests/node/package-lock.json",
    ):
        lines = (ROOT / name).read_text().splitlines()
        odd = [line for line in lines if "file:" in line or '"resolved"' in line or line.startswith(("-", "/"))]
        assert not odd, name
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_the_lock_holds_the_build_backend():
    assert "\nhatchling==" in (ROOT / "requirements.lock").read_text()
