"""The parts of the git server that need no git."""

from __future__ import annotations

import pytest

from muxi_servers.git.hardening import NEW, NO_REPOSITORY, adopted, command, write_global
from muxi_servers.kit.removal import TemporaryFolder


@pytest.mark.parametrize("where", [(), ("",), ("GIT_DIR=",), ("GIT_WORK_TREE=.",)])
def test_git_is_never_left_to_look_for_a_repository(where: tuple[str, ...]) -> None:
    with TemporaryFolder() as temporary, pytest.raises(ValueError, match="told which repository"):
        command(temporary, write_global(temporary), where, "status")


@pytest.mark.parametrize("where", [NO_REPOSITORY, NEW, adopted("/tmp/x")])
def test_every_command_names_its_repository(where: tuple[str, ...]) -> None:
    with TemporaryFolder() as temporary:
        told = command(temporary, write_global(temporary), where, "status")
    before_git = told[: told.index("git")]
    assert [word for word in before_git if word.startswith("GIT_DIR=")] == [where[0]]
