"""What is made ready for one connection's answers: once for each set of values, and anew when there are more."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from muxi_sandbox.contract import SecretRoute
from muxi_sandbox.egress import masking
from muxi_sandbox.egress.contract import Destination, Peer
from muxi_sandbox.egress.substitution import Substitution

pytestmark = [pytest.mark.anyio, pytest.mark.promise("secrets-do-not-come-back")]

PLACEHOLDER = "muxi-secret-" + "0123456789abcdef" * 2
ROUTE = SecretRoute(name="TOKEN", placeholder=PLACEHOLDER, hosts=("site.test:443",))
PEER = Peer("t-1", "web", "mallory", ("site.test",), (ROUTE,))


def substitution_of(values: Mapping[str, str]) -> Substitution:
    async def ask(name: str) -> str:
        return values[name]

    async def known() -> Mapping[str, str]:
        return values

    return Substitution(PEER, Destination("site.test", 443, "connect"), ask, known)


async def test_masks_of_the_same_values_share_what_was_made_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    substitution = substitution_of({"TOKEN": "hunter2-hunter2"})
    await substitution.renew()
    assert substitution.mask()
    monkeypatch.setattr(masking, "re", None)  # so that nothing can be compiled any more
    for _ in range(3):
        await substitution.renew()
        mask = substitution.mask()
        assert mask
        assert mask.whole(b"key: hunter2-hunter2") == f"key: {PLACEHOLDER}".encode()


async def test_a_mask_after_a_rotation_knows_both_values() -> None:
    values = {"TOKEN": "hunter2-hunter2"}
    substitution = substitution_of(values)
    await substitution.renew()
    assert substitution.mask()
    values["TOKEN"] = "correct-horse-battery"
    await substitution.renew()
    mask = substitution.mask()
    assert mask
    assert not re.search(rb"hunter2|horse", mask.whole(b"hunter2-hunter2 correct-horse-battery"))
