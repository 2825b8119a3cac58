from __future__ import annotations

from pathlib import Path

from muxi_sandbox.docker.images.pip_index import host_pip_options
from muxi_sandbox.docker.images.transport import Transport


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_host_without_settings_leaves_pips_own(tmp_path: Path) -> None:
    assert host_pip_options({}, tmp_path) == {}
    assert "pip.conf" not in Transport().files("trixie")


def test_the_users_file_wins_over_the_systems_and_the_environment_over_both(tmp_path: Path) -> None:
    write(tmp_path / "etc/pip.conf", "[global]\nindex-url = https://system.example/simple\ntrusted-host = a\n")
    write(tmp_path / "me/.config/pip/pip.conf", "[install]\nindex-url = https://user.example/simple\n")
    environment = {"HOME": str(tmp_path / "me")}
    assert host_pip_options(environment, tmp_path)["index-url"] == "https://user.example/simple"
    environment["PIP_INDEX_URL"] = "https://mine.example/simple"
    found = host_pip_options(environment, tmp_path)
    assert found == {"index-url": "https://mine.example/simple", "trusted-host": "a"}


def test_a_folder_of_the_host_is_no_index_of_a_build(tmp_path: Path) -> None:
    write(tmp_path / "etc/pip.conf", "[global]\nextra-index-url = file:///srv/simple https://more.example/simple\n")
    assert host_pip_options({}, tmp_path) == {"extra-index-url": "https://more.example/simple"}
    write(tmp_path / "etc/pip.conf", "[global]\nextra-index-url = file:///srv/simple\n")
    assert host_pip_options({}, tmp_path) == {}


def test_a_file_that_is_none_of_pips_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "etc/pip.conf", "no section\n")
    assert host_pip_options({}, tmp_path) == {}


def test_an_index_on_this_hosts_loopback_needs_its_network() -> None:
    assert Transport(pip={"index-url": "http://127.0.0.1:3141/simple"}).needs_host_network
    assert Transport(pip={"index-url": "https://i.example/simple"}).files("")["pip.conf"] == (
        b"[global]\nindex-url = https://i.example/simple\n"
    )
