"""Images are built on a real engine once, and again only when an input changed."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import docker
import pytest

from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.errors import EngineUnavailableError, ImageBuildError

pytestmark = pytest.mark.timeout(300)

Lines = list[str]


@pytest.fixture
def client(engine_socket: Path):
    with docker.APIClient(base_url=f"unix://{engine_socket}", version="auto") as client:
        yield client


@pytest.fixture
def repository(client: docker.APIClient):
    """A name of our own for tags, all of which are removed again."""
    name = f"muxi-test-{uuid.uuid4().hex[:12]}"
    yield name
    for image in client.images():
        for tag in image["RepoTags"] or ():
            if tag.startswith(f"{name}/"):
                client.remove_image(tag, force=True)


@pytest.fixture
def folder(tmp_path: Path, client: docker.APIClient, repository: str) -> Path:
    """Two images: `small` on an empty base that the engine has, `child` on `small`."""
    import_empty_base(client, f"{repository}/empty:1")
    for path, text in {
        "small/image.yaml": f"base: {repository}/empty:1\n",
        "small/Dockerfile": "ARG BASE\nFROM ${BASE}\nCOPY greeting /greeting\n",
        "small/greeting": "hello\n",
        "child/image.yaml": "base: build:small\n",
        "child/Dockerfile": "ARG BASE\nFROM ${BASE}\nENV CHILD=1\n",
        "orphan/image.yaml": f"base: {repository}/nowhere:1\n",
        "orphan/Dockerfile": "ARG BASE\nFROM ${BASE}\n",
        "broken/image.yaml": "base: build:small\n",
        "broken/Dockerfile": "ARG BASE\nFROM ${BASE}\nCOPY not-there /\n",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def import_empty_base(client: docker.APIClient, reference: str) -> None:
    name, _, tag = reference.rpartition(":")
    client.import_image_from_data(b"\0" * 1024, repository=name, tag=tag)


@pytest.fixture
async def store(engine_socket: Path, folder: Path, repository: str) -> AsyncIterator[ImageStore]:
    async with ImageStore(EngineSettings(socket=engine_socket), folder=folder, repository=repository) as store:
        yield store


@pytest.fixture
def lines() -> Lines:
    return []


@pytest.fixture
def reopened(engine_socket: Path, folder: Path, repository: str) -> Callable[[], ImageStore]:
    """A store that reads the folder anew."""
    return lambda: ImageStore(EngineSettings(socket=engine_socket), folder=folder, repository=repository)


async def test_a_second_build_does_nothing(store: ImageStore, lines: Lines):
    reference = await store.ensure("small", lines.append)
    assert any(line.startswith("Successfully built") for line in lines)
    lines.clear()
    assert await store.ensure("small", lines.append) == reference
    assert lines == []


async def test_a_changed_input_gives_a_new_image_and_the_old_one_stays(
    store: ImageStore, reopened: Callable[[], ImageStore], folder: Path, lines: Lines, client: docker.APIClient
):
    old = await store.ensure("small", lines.append)
    (folder / "small/greeting").write_text("good day\n")
    async with reopened() as changed:
        assert await changed.find("small") is None
        new = await changed.ensure("small", lines.append)
    assert new != old
    assert client.inspect_image(old)["Id"] != client.inspect_image(new)["Id"]


async def test_a_base_of_ours_is_built_first(store: ImageStore, lines: Lines, client: docker.APIClient):
    reference = await store.ensure("child", lines.append)
    base = await store.find("small")
    assert base is not None
    layers = client.inspect_image(base)["RootFS"]["Layers"]
    assert client.inspect_image(reference)["RootFS"]["Layers"][: len(layers)] == layers


async def test_a_change_below_is_a_change_above(
    store: ImageStore, reopened: Callable[[], ImageStore], folder: Path, lines: Lines
):
    await store.ensure("child", lines.append)
    (folder / "small/greeting").write_text("good day\n")
    async with reopened() as changed:
        assert await changed.find("child") is None


async def test_the_list_tells_what_is_built(store: ImageStore, lines: Lines):
    await store.ensure("small", lines.append)
    found = {image.name: image for image in await store.list()}
    assert found["small"].built
    assert found["small"].created is not None
    assert not found["child"].built
    assert found["orphan"].reference == ""


async def test_pruning_removes_former_images_of_ours_and_nothing_else(
    store: ImageStore,
    reopened: Callable[[], ImageStore],
    folder: Path,
    lines: Lines,
    repository: str,
    client: docker.APIClient,
):
    old = await store.ensure("small", lines.append)
    client.tag(old, f"{repository}/small", tag="kept")
    import_empty_base(client, f"{repository}/foreign:0123456789ab")
    (folder / "small/greeting").write_text("good day\n")
    async with reopened() as changed:
        new = await changed.ensure("small", lines.append)
        assert await changed.prune() == (old,)
        assert await changed.find("small") == new
    left = {tag for image in client.images() for tag in image["RepoTags"] or ()}
    assert {f"{repository}/small:kept", f"{repository}/foreign:0123456789ab", f"{repository}/empty:1"} <= left


async def test_a_failed_build_tells_the_engines_reason(store: ImageStore, lines: Lines):
    with pytest.raises(ImageBuildError, match="not-there"):
        await store.ensure("broken", lines.append)


async def test_a_base_that_is_nowhere_is_named(store: ImageStore, lines: Lines, repository: str):
    with pytest.raises(ImageBuildError, match=f"{repository}/nowhere:1"):
        await store.ensure("orphan", lines.append)


async def test_an_unknown_image_is_told_with_those_there_are(store: ImageStore, lines: Lines):
    with pytest.raises(ImageBuildError, match="broken, child, orphan, small"):
        await store.ensure("large", lines.append)


async def test_without_an_engine_the_error_is_ours(tmp_path: Path):
    with pytest.raises(EngineUnavailableError, match=r"nowhere\.sock"):
        async with ImageStore(EngineSettings(socket=tmp_path / "nowhere.sock"), folder=tmp_path):
            pass


@pytest.fixture
async def built(engine_socket: Path, lines: Lines) -> dict[str, str]:
    """The project's own images, from their inputs as they are now."""
    async with ImageStore(EngineSettings(socket=engine_socket)) as store:
        return {name: await store.ensure(name, lines.append) for name in ("python", "code")}


def run_in(client: docker.APIClient, image: str, *command: str) -> str:
    """Run as a sandbox would: nobody, no network, read-only, a fresh /tmp; gives its output. It must end with 0."""
    options = client.create_host_config(network_mode="none", read_only=True, tmpfs={"/tmp": "size=64m"})
    container = client.create_container(image, list(command), user="65534:65534", host_config=options)["Id"]
    try:
        client.start(container)
        code = client.wait(container, timeout=120)["StatusCode"]
        output = client.logs(container).decode()
    finally:
        client.remove_container(container, force=True)
    assert code == 0, output
    return output


@pytest.mark.parametrize("name", ["python", "code"])
async def test_no_file_of_an_image_gives_rights(client: docker.APIClient, built: dict[str, str], name: str):
    assert run_in(client, built[name], "sh", "-c", "find / -xdev -perm /6000 2>/dev/null; true") == ""


@pytest.mark.parametrize("name", ["python", "code"])
async def test_the_host_settings_of_a_build_are_gone_from_the_image(
    client: docker.APIClient, built: dict[str, str], name: str
):
    assert (
        run_in(client, built[name], "sh", "-c", "ls -A /run/muxi-build /etc/apt/apt.conf.d/99* 2>/dev/null; true") == ""
    )


@pytest.mark.parametrize("name", ["python", "code"])
async def test_the_servers_are_on_pythons_own_path_and_compiled(
    client: docker.APIClient, built: dict[str, str], name: str
):
    program = (
        "import muxi_servers.kit as k; print(k.__spec__.cached); import os; print(os.path.exists(k.__spec__.cached))"
    )
    assert run_in(client, built[name], "python3", "-I", "-c", program).splitlines()[-1] == "True"


async def test_a_shell_user_finds_the_usual_tools(client: docker.APIClient, built: dict[str, str]):
    tools = "bash ls find grep sed gawk diff git jq less tar gzip xz zip unzip file ps"
    run_in(client, built["python"], "sh", "-c", f"for tool in {tools}; do command -v $tool || exit 1; done")


async def test_the_first_plot_finds_its_font_list(client: docker.APIClient, built: dict[str, str]):
    program = (
        "import os, matplotlib; folder = matplotlib.get_cachedir(); print(os.listdir(folder), matplotlib.get_backend())"
    )
    output = run_in(client, built["code"], "python3", "-I", "-c", program)
    assert "fontlist-" in output
    assert output.strip().lower().endswith("agg")


async def test_the_code_image_has_its_languages_and_libraries(client: docker.APIClient, built: dict[str, str]):
    run_in(client, built["code"], "python3", "-I", "-c", "import numpy, pandas, PIL, matplotlib.pyplot")
    assert run_in(client, built["code"], "node", "-p", "1 + 1").strip() == "2"


@pytest.mark.skipif(os.geteuid() != 0, reason="making a root file system needs root here")
@pytest.mark.timeout(600)
async def test_a_debian_base_is_made_without_a_registry(
    engine_socket: Path, tmp_path: Path, repository: str, lines: Lines, client: docker.APIClient
):
    (tmp_path / "only").mkdir()
    (tmp_path / "only/image.yaml").write_text("base: debian:trixie\n")
    (tmp_path / "only/Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nUSER 65534:65534\n")
    async with ImageStore(EngineSettings(socket=engine_socket), folder=tmp_path, repository=repository) as store:
        reference = await store.ensure("only", lines.append)
    assert "VERSION_CODENAME=trixie" in run_in(client, reference, "cat", "/etc/os-release")
