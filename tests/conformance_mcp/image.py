"""An image with the fixture in it: this project's Python image, the SDK's own wheels, and nothing run to build it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

__all__ = ["IMAGE", "build_image"]

IMAGE = "muxi-conformance:local"
LOCK = Path(__file__).parents[2] / "requirements.lock"
PLACE = "/opt/fixture"
NAME = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?")
EXTRA = re.compile(r"extra == ['\"](?P<name>[^'\"]+)")


def build_image(base: str) -> None:
    """Build it on the engine; quick where nothing changed, since wheels come out of pip's cache."""
    with tempfile.TemporaryDirectory(prefix="muxi-conformance-") as folder:
        site = Path(folder) / "site"
        _install(site, _python_of(base), Path(folder) / "requirements.txt")
        shutil.copytree(Path(__file__).parent, site / "conformance_mcp", ignore=shutil.ignore_patterns("__pycache__"))
        (Path(folder) / "Dockerfile").write_text(
            f"FROM {base}\nCOPY site {PLACE}\nENV PYTHONPATH={PLACE} PYTHONDONTWRITEBYTECODE=1\nUSER 65534:65534\n"
        )
        _run("docker", "build", "-q", "-t", IMAGE, folder)


def _python_of(base: str) -> str:
    """The version of the interpreter in an image, like 3.13."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return _run("docker", "run", "--rm", "--network", "none", "--entrypoint", "python3", base, "-c", code).strip()


def _install(site: Path, version: str, requirements: Path) -> None:
    """The SDK and what it needs, hashes checked, for the image's interpreter; nothing of it is run."""
    requirements.write_text("\n".join(_locked(_closure("mcp"))))
    machine = _run("docker", "version", "--format", "{{.Server.Arch}}").strip()
    platform = {"amd64": "x86_64", "arm64": "aarch64"}[machine]
    abis = [f"cp{version.replace('.', '')}", "abi3", "none"]
    platforms = [f"manylinux_2_28_{platform}", f"manylinux2014_{platform}", "any"]
    _run(
        sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--require-hashes",
        "--target", str(site), "--python-version", version, "--implementation", "cp", "--only-binary=:all:",
        *(word for abi in abis for word in ("--abi", abi)),
        *(word for one in platforms for word in ("--platform", one)),
        "-r", str(requirements),
    )  # fmt: skip


def _closure(package: str) -> set[str]:
    """The package and all that it needs here, by normalised names."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        name, _, extras = waiting.pop().rstrip("]").partition("[")
        found.add(_normal(name))
        try:
            needed = requires(name) or []
        except PackageNotFoundError:
            continue  # for another platform
        for line in needed:
            match = NAME.match(line)
            extra = EXTRA.search(line)
            if match and _normal(match["name"]) not in found and (not extra or extra["name"] in extras.split(",")):
                waiting.append(match.group())
    return found


def _locked(names: set[str]) -> list[str]:
    """Their entries in the lock, hashes included."""
    text = LOCK.read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if (match := NAME.match(line)) and _normal(match["name"]) in names]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{json.dumps(command[:6])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
