"""The vault: what is on disk, what can be read again, and when it refuses."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from muxi_runtime.errors import UnknownSecretError, VaultError
from muxi_runtime.store.engine import database_path, open_store
from muxi_runtime.vault.cipher import decrypt, encrypt
from muxi_runtime.vault.key_file import Key, KeyFile, new_key
from muxi_runtime.vault.store import Vault, check_value

VALUE = "a value of eight or more"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_store(tmp_path)
    yield engine
    engine.dispose()


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "vault.key")


@pytest.fixture
def vault(engine: Engine, key_file: KeyFile) -> Vault:
    return Vault(engine, key_file)


@pytest.mark.promise("secrets-are-encrypted")
def test_a_value_is_in_no_file_and_no_record_and_comes_back(vault: Vault, tmp_path: Path) -> None:
    record = vault.set("TOKEN", VALUE)
    assert vault.value("TOKEN") == VALUE
    contents = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"TOKEN" in contents
    assert VALUE.encode() not in contents
    assert VALUE not in repr(record) + repr(vault.list())


@pytest.mark.promise("secrets-are-encrypted")
def test_the_key_is_its_owner_s_alone_and_one_that_others_can_read_is_refused(vault: Vault, key_file: KeyFile) -> None:
    vault.set("TOKEN", VALUE)
    assert stat.S_IMODE(key_file.path.stat().st_mode) == 0o600
    assert key_file.read()[0].material.hex() not in repr(key_file.read())
    key_file.path.chmod(0o640)
    with pytest.raises(VaultError, match="may be read by others"):
        vault.value("TOKEN")


@pytest.mark.promise("secrets-are-encrypted")
def test_a_value_that_is_moved_to_another_name_or_changed_is_refused(vault: Vault, tmp_path: Path) -> None:
    vault.set("ONE", VALUE)
    vault.set("OTHER", VALUE)
    with sqlite3.connect(database_path(tmp_path)) as connection:
        connection.execute("UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'ONE')")
        connection.execute("UPDATE secrets SET sealed = substr(sealed, 1, 20) WHERE name = 'ONE'")
    connection.close()
    for name in ("ONE", "OTHER"):
        with pytest.raises(VaultError, match="cannot be decrypted"):
            vault.value(name)


def test_rotating_gives_a_new_value_and_keeps_when_it_was_first_set(vault: Vault) -> None:
    first = vault.set("TOKEN", VALUE)
    second = vault.replace("TOKEN", "another value")
    assert vault.value("TOKEN") == "another value"
    assert (second.created_at, second.set_at >= first.set_at) == (first.created_at, True)


def test_a_new_key_reads_every_value_and_the_old_one_is_gone(vault: Vault, key_file: KeyFile) -> None:
    vault.set("ONE", VALUE)
    vault.set("OTHER", "the other value")
    old = key_file.read()[0]
    assert vault.rotate_key() == 2
    assert [vault.value("ONE"), vault.value("OTHER")] == [VALUE, "the other value"]
    assert [key.id for key in key_file.read()] != [old.id]
    assert len(key_file.read()) == 1


@pytest.mark.parametrize("is_written", [False, True])
def test_a_rotation_that_is_cut_off_loses_nothing(vault: Vault, key_file: KeyFile, *, is_written: bool) -> None:
    vault.set("TOKEN", VALUE)
    old, fresh = key_file.read()[0], new_key()
    key_file.write((fresh, old))
    if is_written:
        vault.replace("TOKEN", VALUE)
    assert vault.value("TOKEN") == VALUE
    assert vault.rotate_key() == 1
    assert vault.value("TOKEN") == VALUE


class RotatesMeanwhile(KeyFile):
    """The key is changed between the moment a row was read and the moment its key is."""

    meanwhile: Callable[[], object] | None = None

    def read(self) -> tuple[Key, ...]:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().read()


def test_a_value_in_use_while_the_key_is_changed_is_read(vault: Vault, key_file: KeyFile, engine: Engine) -> None:
    vault.set("API_KEY", VALUE)
    file = RotatesMeanwhile(key_file.path)
    reader = Vault(engine, file)
    file.meanwhile = vault.rotate_key
    assert reader.value("API_KEY") == VALUE
    assert file.meanwhile is None
    file.meanwhile = lambda: vault.remove("API_KEY")
    assert reader.value("API_KEY") == VALUE  # it was read before


def test_without_its_key_nothing_is_read_and_no_other_key_is_made(vault: Vault, key_file: KeyFile) -> None:
    vault.set("TOKEN", VALUE)
    key_file.path.unlink()
    with pytest.raises(VaultError, match="gone"):
        vault.value("TOKEN")
    with pytest.raises(VaultError, match="gone"):
        vault.set("OTHER", VALUE)
    assert not key_file.path.exists()


@pytest.mark.parametrize("text", ["", "nonsense\n", "ab cd\n", "\0"])
def test_a_key_file_of_something_else_is_refused(vault: Vault, key_file: KeyFile, text: str) -> None:
    vault.set("TOKEN", VALUE)
    key_file.path.write_text(text)
    with pytest.raises(VaultError, match="does not hold a key"):
        vault.value("TOKEN")


def test_what_is_not_set_is_told_with_the_command_that_sets_it(vault: Vault) -> None:
    for ask in (vault.value, vault.remove, vault.require, lambda name: vault.replace(name, VALUE)):
        with pytest.raises(UnknownSecretError, match="secrets set TOKEN"):
            ask("TOKEN")


@pytest.mark.parametrize("value", ["short", "two\r\nlines of it", "a\x00nul in it", " leading space", "x" * 5000])
def test_a_value_that_no_header_could_carry_is_refused_and_not_repeated(vault: Vault, value: str) -> None:
    with pytest.raises(ValueError, match="A value") as caught:
        vault.set("TOKEN", value)
    assert value not in str(caught.value)
    assert vault.list() == []


@pytest.mark.parametrize("name", ["", "lower", "1ST", "A-B", "A" * 65, "TOKEN\n"])
def test_a_name_that_is_none_is_refused(vault: Vault, name: str) -> None:
    with pytest.raises(ValueError, match="capital letters"):
        vault.set(name, VALUE)


@given(value=st.text(), name=st.from_regex(r"[A-Z][A-Z0-9_]{0,63}", fullmatch=True))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_what_is_encrypted_decrypts_for_its_name_and_key_only(value: str, name: str) -> None:
    key = new_key()
    sealed = encrypt(key, name, value)
    assert decrypt(key, name, sealed) == value
    for other_key, other_name in ((new_key(), name), (key, f"{name[:60]}_XX")):
        with pytest.raises(VaultError):
            decrypt(other_key, other_name, sealed)


@given(st.text(min_size=8, max_size=200))
def test_no_value_that_is_accepted_can_end_a_header(value: str) -> None:
    try:
        check_value(value)
    except ValueError:
        return
    assert not set(value) & set("\r\n\0")
