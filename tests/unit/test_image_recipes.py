from __future__ import annotations

from pathlib import Path

import pytest

import muxi_images
import muxi_servers
from muxi_sandbox.docker.images.base import debian_suite
from muxi_sandbox.docker.images.recipe import Recipe, load_recipes
from muxi_sandbox.errors import ImageBuildError

BASE_ID = "sha256:0123"


def make_images(
    root: Path, description: str = "base: debian:trixie-slim\ncontext: [apt]\nservers: [code]\n"
) -> tuple[Path, Path]:
    folder, servers = root / "images", root / "muxi_servers"
    for path, text in {
        folder / "one/image.yaml": description,
        folder / "one/Dockerfile": "FROM x\n",
        folder / "one/run": "#!/bin/sh\n",
        folder / "shared/apt-install": "#!/bin/sh\n",
        servers / "__init__.py": "",
        servers / "kit/frames.py": "x = 1\n",
        servers / "code/server.py": "x = 1\n",
        servers / "shell/server.py": "x = 1\n",
        servers / "code/manifest.yaml": "name: code\n",
        servers / "kit/__pycache__/frames.cpython-311.pyc": "bytes",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder, servers


def load(root: Path) -> Recipe:
    return load_recipes(*make_images(root))["one"]


def test_the_context_holds_the_folder_the_install_script_and_the_servers(tmp_path: Path):
    assert sorted(load(tmp_path).files) == [
        *(".build/apt-install", "Dockerfile", "muxi_servers/__init__.py", "muxi_servers/code/server.py"),
        *("muxi_servers/kit/frames.py", "run"),
    ]


def test_a_script_may_be_run_whatever_its_mode_on_disk(tmp_path: Path):
    files = load(tmp_path).files
    assert files["run"].executable
    assert not files["Dockerfile"].executable


def test_the_same_inputs_elsewhere_give_the_same_hash(tmp_path: Path):
    assert load(tmp_path / "a").digest(BASE_ID) == load(tmp_path / "b").digest(BASE_ID)


@pytest.mark.parametrize(
    "changed",
    [
        "images/one/Dockerfile",
        "images/shared/apt-install",
        "muxi_servers/kit/frames.py",
        "muxi_servers/code/server.py",
        "images/one/new",
    ],
)
def test_any_changed_input_gives_another_hash(tmp_path: Path, changed: str):
    folder, servers = make_images(tmp_path)
    before = load_recipes(folder, servers)["one"].digest(BASE_ID)
    (tmp_path / changed).write_text("changed")
    assert load_recipes(folder, servers)["one"].digest(BASE_ID) != before


def test_another_base_gives_another_hash(tmp_path: Path):
    recipe = load(tmp_path)
    assert recipe.digest("sha256:0123") != recipe.digest("sha256:4567")


@pytest.mark.parametrize(
    "changed",
    [
        "muxi_servers/code/manifest.yaml",
        "muxi_servers/shell/server.py",
        "muxi_servers/kit/__pycache__/frames.cpython-311.pyc",
    ],
)
def test_what_no_image_holds_changes_no_hash(tmp_path: Path, changed: str):
    folder, servers = make_images(tmp_path)
    before = load_recipes(folder, servers)["one"].digest(BASE_ID)
    (tmp_path / changed).write_text("changed")
    assert load_recipes(folder, servers)["one"].digest(BASE_ID) == before


@pytest.mark.parametrize("text", ["base: [", "base: ''\n", "base: x\nprivileged: true\n", "context: [apt]\n", "- x\n"])
def test_a_description_that_cannot_be_used_is_named(tmp_path: Path, text: str):
    folder, servers = make_images(tmp_path, text)
    with pytest.raises(ImageBuildError, match=r"one/image\.yaml"):
        load_recipes(folder, servers)


def test_servers_that_are_not_installed_are_told(tmp_path: Path):
    folder, _ = make_images(tmp_path)
    with pytest.raises(ImageBuildError, match="muxi_servers is not installed"):
        load_recipes(folder, None)


def test_the_projects_own_images_end_at_a_debian_base():
    recipes = load_recipes(Path(muxi_images.__file__).parent, Path(muxi_servers.__file__).parent)
    assert {"base", "code", "python"} <= set(recipes)
    for recipe in recipes.values():
        outermost = recipe
        while outermost.base.startswith("build:"):
            outermost = recipes[outermost.base.removeprefix("build:")]
        assert debian_suite(outermost.base)


@pytest.mark.parametrize(
    ("reference", "suite"),
    [("debian:trixie", "trixie"), ("debian:trixie-slim", "trixie"), ("alpine:3", None), ("debian:../x", None)],
)
def test_only_debian_can_be_made_here(reference: str, suite: str | None):
    assert debian_suite(reference) == suite
