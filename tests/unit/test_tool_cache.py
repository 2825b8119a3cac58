from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.catalog.pins import pin_of
from muxi_runtime.catalog.tool_cache import MAX_CACHE_BYTES, ToolCache, content_key

TOOL = {"name": "run", "inputSchema": {"type": "object"}, "_meta": {"x": "\ud800"}, "description": "é"}


def test_what_was_listed_is_known_after_a_restart(tmp_path):
    path = tmp_path / "cache" / "tools.json"
    ToolCache(path).put("code", "k1", [TOOL])
    assert ToolCache(path).get("code", "k1") == [TOOL]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_other_content_is_not_known(tmp_path):
    cache = ToolCache(tmp_path / "tools.json")
    cache.put("code", "k1", [TOOL])
    assert cache.get("code", "k2") is None
    assert cache.get("files", "k1") is None
    cache.put("code", "k2", [])
    assert cache.get("code", "k1") is None
    assert cache.get("code", "k2") == []


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b'{"code": 1}', b'{"code": {"content": "k", "tools": [1]}}', b"\xff", b"[" * 10**6],
)
def test_a_damaged_file_is_an_empty_cache_and_is_replaced(tmp_path, damage):
    path = tmp_path / "tools.json"
    path.write_bytes(damage)
    cache = ToolCache(path)
    assert cache.get("code", "k") is None
    cache.put("code", "k", [TOOL])
    assert json.loads(path.read_bytes())["code"]["tools"] == [TOOL]


def test_a_file_beyond_the_bound_is_not_read(tmp_path):
    path = tmp_path / "tools.json"
    ToolCache(path).put("code", "k", [TOOL])
    with path.open("ab") as file:
        file.truncate(MAX_CACHE_BYTES + 1)
    assert ToolCache(path).get("code", "k") is None


def test_a_write_that_fails_leaves_no_litter_and_the_old_file(tmp_path):
    path = tmp_path / "tools.json"
    cache = ToolCache(path)
    cache.put("code", "k", [TOOL])
    before = path.read_bytes()
    with pytest.raises(TypeError):
        cache.put("code", "k2", [{"name": object()}])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_key_changes_with_manifest_and_image():
    manifest = Manifest(name="code", image="build:code")
    other = Manifest(name="code", image="build:code", command=("x",))
    keys = {content_key(manifest, "a"), content_key(manifest, "b"), content_key(other, "a")}
    assert len(keys) == 3
    assert content_key(manifest, "a") == content_key(manifest.model_copy(), "a")


@pytest.mark.parametrize(
    "field", ["name", "title", "description", "inputSchema", "outputSchema", "annotations", "_meta", "new"]
)
def test_a_change_of_any_field_changes_the_pin(field):
    assert pin_of({**TOOL, field: "changed"}) != pin_of(TOOL)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_the_pin_does_not_depend_on_the_order_of_keys(definition):
    assert pin_of(dict(reversed(definition.items()))) == pin_of(definition)


def test_many_servers_can_be_remembered_at_once(tmp_path):
    cache = ToolCache(tmp_path / "tools.json")
    names = [f"server{number}" for number in range(60)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: cache.put(name, "k", [{"name": "a"}]), names))
    again = ToolCache(tmp_path / "tools.json")
    assert set(again.names()) == set(names)
    assert all(again.get(name, "k") == [{"name": "a"}] for name in names)
