"""docs/configuration.md says what the models say: every setting, its default and its meaning, and nothing else."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.config import FileSettings, load_settings
from muxi_sandbox.contract import Limits

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
ROW = re.compile(r"^\| `(?P<name>[a-zA-Z_.]+)` \| `(?P<default>[^|]*)` \| (?P<meaning>[^|]+) \|$", re.MULTILINE)


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Dotted name, default and description of every setting below a model."""
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        inner = part_of(field.annotation)
        if inner is not None:
            is_map = get_origin(field.annotation) is dict
            yield from settings_of(inner, f"{prefix}{name}.{'NAME.' if is_map else ''}")
            continue
        default = (
            "required"
            if field.is_required()
            else json.dumps(to_jsonable_python(field.get_default(call_default_factory=True)))
        )
        yield f"{prefix}{name}", default, (field.description or "").replace("|", "or")


def part_of(kind: Any) -> type[BaseModel] | None:
    if get_origin(kind) is dict:
        return part_of(get_args(kind)[1])
    if get_origin(kind) in {Union, types.UnionType}:
        kinds = [part_of(argument) for argument in get_args(kind)]
        return next((kind for kind in kinds if kind), None)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def section(title: str) -> dict[str, tuple[str, str]]:
    text = PAGE.read_text(encoding="utf-8")
    body = re.split(r"^## ", text, flags=re.MULTILINE)
    found = next(part for part in body if part.startswith(f"{title}\n"))
    return {row["name"]: (row["default"], row["meaning"]) for row in ROW.finditer(found)}


@pytest.mark.parametrize(("title", "model"), [("Settings", FileSettings), ("Manifests", Manifest), ("Limits", Limits)])
def test_every_setting_is_documented_with_its_default_and_meaning(title, model):
    documented = section(title)
    wanted = {
        name: (default, meaning)
        for name, default, meaning in settings_of(model)
        if title == "Limits" or ".limits." not in name
    }
    assert set(documented) == set(wanted)
    for name, (default, meaning) in wanted.items():
        assert documented[name][0] == default, name
        assert documented[name][1].startswith(meaning), name


def test_the_example_is_a_file_that_loads(tmp_path):
    example = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "muxi.yaml").write_text(example[1])
    settings = load_settings(home=tmp_path, environ={})
    assert settings.gateway.port == 7891
    assert settings.servers["mine"].manifest == tmp_path / "servers" / "mine" / "manifest.yaml"
