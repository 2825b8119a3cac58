from __future__ import annotations

import pytest

from muxi_runtime.gateway.settings import GatewaySettings


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_needs_no_key(host: str):
    assert not GatewaySettings(host=host).keys_required


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "127.0.0.1.example.org", ""])
def test_any_other_address_needs_keys(host: str):
    assert GatewaySettings(host=host).keys_required


def test_keys_can_be_required_everywhere():
    assert GatewaySettings(require_key="always").keys_required
