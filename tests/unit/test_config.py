from __future__ import annotations

from pathlib import Path

import pytest

from muxi_runtime.config import Settings, load_settings
from muxi_runtime.errors import ConfigError


def test_without_a_file_the_defaults_hold(tmp_path):
    settings = load_settings(home=tmp_path, environ={})
    assert settings == Settings(home=tmp_path)
    assert settings.source is None


def test_the_file_is_looked_for_at_the_option_then_the_variable_then_home(tmp_path):
    for name, port in (("a.yaml", 1), ("b.yaml", 2), ("muxi.yaml", 3)):
        (tmp_path / name).write_text(f"gateway: {{port: {port}}}")
    variable = {"MUXI_CONFIG": str(tmp_path / "b.yaml")}
    assert load_settings(config=tmp_path / "a.yaml", home=tmp_path, environ=variable).gateway.port == 1
    assert load_settings(home=tmp_path, environ=variable).gateway.port == 2
    assert load_settings(home=tmp_path, environ={}).gateway.port == 3
    assert load_settings(home=tmp_path, environ={}).source == tmp_path / "muxi.yaml"


@pytest.mark.parametrize("by", ["--config", "MUXI_CONFIG"])
def test_a_file_that_was_named_must_exist(tmp_path, by):
    missing = tmp_path / "missing.yaml"
    named = {"config": missing} if by == "--config" else {}
    environ = {} if by == "--config" else {"MUXI_CONFIG": str(missing)}
    with pytest.raises(ConfigError, match=f"missing.yaml: there is no such file \\({by} names it\\)"):
        load_settings(home=tmp_path, environ=environ, **named)


def test_home_is_the_option_then_the_variable_then_the_users_data_folder(tmp_path):
    environ = {"MUXI_HOME": str(tmp_path / "b"), "XDG_DATA_HOME": str(tmp_path / "c")}
    assert load_settings(home=tmp_path / "a", environ=environ).home == tmp_path / "a"
    assert load_settings(environ=environ).home == tmp_path / "b"
    del environ["MUXI_HOME"]
    assert load_settings(environ=environ).home == tmp_path / "c" / "muxi-runtime"
    standard = Path.home() / ".local/share/muxi-runtime"
    assert load_settings(environ={"XDG_DATA_HOME": "relative"}).home == standard
    assert load_settings(environ={}).home == standard


def test_home_is_not_for_the_file_to_say(tmp_path):
    (tmp_path / "muxi.yaml").write_text("home: /elsewhere\n")
    with pytest.raises(ConfigError, match=r"muxi\.yaml:1: home: unknown"):
        load_settings(home=tmp_path, environ={})


def test_a_relative_manifest_is_beside_the_file(tmp_path):
    (tmp_path / "muxi.yaml").write_text("servers: {mine: {manifest: mine/manifest.yaml}}\n")
    settings = load_settings(home=tmp_path, environ={})
    assert settings.servers["mine"].manifest == tmp_path / "mine" / "manifest.yaml"


def test_the_environment_fills_in_values(tmp_path):
    (tmp_path / "muxi.yaml").write_text("gateway: {port: '${DOOR_PORT:-7000}'}\n")
    assert load_settings(home=tmp_path, environ={}).gateway.port == 7000
    assert load_settings(home=tmp_path, environ={"DOOR_PORT": "8000"}).gateway.port == 8000


def test_the_engines_socket_is_the_files_then_docker_hosts(tmp_path):
    environ = {"DOCKER_HOST": "unix:///run/user/1000/docker.sock"}
    assert load_settings(home=tmp_path, environ=environ).engine.socket == Path("/run/user/1000/docker.sock")
    assert load_settings(home=tmp_path, environ={"DOCKER_HOST": ""}).engine.socket == Path("/var/run/docker.sock")
    (tmp_path / "muxi.yaml").write_text("engine: {socket: /run/mine.sock}\n")
    assert load_settings(home=tmp_path, environ=environ).engine.socket == Path("/run/mine.sock")


@pytest.mark.parametrize("host", ["tcp://10.0.0.1:1", "ssh://me@there", "unix://relative", "npipe:////./pipe/x", "x"])
def test_an_engine_elsewhere_is_refused(tmp_path, host):
    with pytest.raises(ConfigError, match="only an engine on this machine") as caught:
        load_settings(home=tmp_path, environ={"DOCKER_HOST": host})
    assert "unix://" in caught.value.remedy


@pytest.mark.parametrize("by", ["home", "config"])
@pytest.mark.parametrize("path", ["x" * 300, "nul\0"])
def test_a_place_that_cannot_be_looked_at_is_named(tmp_path, by, path):
    with pytest.raises(ConfigError, match="cannot be looked at"):
        load_settings(**{"home": tmp_path, by: tmp_path / path}, environ={})
