"""Images of built-in servers that are built while the runtime serves."""

from __future__ import annotations

import anyio
import pytest

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.setup.late_images import LateImages
from muxi_sandbox.errors import ImageBuildError, ImageMissingError

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]


def server(name: str, *, built_in: bool = True) -> Manifest:
    return Manifest(name=name, image=f"build:{name}").model_copy(update={"built_in": built_in})


class Builder:
    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.asked: list[str] = []
        self.may_end = anyio.Event()

    async def __call__(self, name: str) -> str:
        self.asked.append(name)
        await self.may_end.wait()
        if name == self.failing:
            raise ImageBuildError("no mirror answers.")
        return f"ours/{name}:1"


async def test_a_missing_image_is_built_while_others_are_there_and_who_asks_is_told() -> None:
    builder, done = Builder(), anyio.Event()
    images = LateImages({"here": "ours/here:0", "heavy": None, "unused": None, "foreign": None}, builder)
    manifests = {name: server(name, built_in=name != "foreign") for name in ("here", "heavy", "foreign")}
    async with anyio.create_task_group() as group:
        group.start_soon(images.run, lambda: manifests, done.set)
        await anyio.wait_all_tasks_blocked()
        assert images.reference("here") == "ours/here:0"
        with pytest.raises(ImageMissingError, match="is being built"):
            images.reference("heavy")
        builder.may_end.set()
        await done.wait()
        assert images.reference("heavy") == "ours/heavy:1"
        group.cancel_scope.cancel()
    assert builder.asked == ["heavy"]


async def test_one_that_cannot_be_built_says_why_and_hides_no_other() -> None:
    builder, built = Builder(failing="bad"), []
    builder.may_end.set()
    images = LateImages({"bad": None, "good": None}, builder)
    manifests = {name: server(name) for name in ("bad", "good")}
    async with anyio.create_task_group() as group:
        group.start_soon(images.run, lambda: manifests, lambda: built.append(1))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert images.reference("good") == "ours/good:1"
    with pytest.raises(ImageMissingError, match=r"no mirror answers.*images build bad"):
        images.reference("bad")
    assert builder.asked == ["bad", "good"]


async def test_without_a_builder_an_image_that_is_not_there_is_named() -> None:
    images = LateImages({"heavy": None})
    await images.run(dict, lambda: None)
    for name in ("heavy", "unknown"):
        with pytest.raises(ImageMissingError, match="is not built: run"):
            images.reference(name)
