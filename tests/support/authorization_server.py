"""A real authorization server on loopback (oidc-provider, fetched by `make test` into tests/node)."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from node_tools import NODE_MODULES

SCRIPT = NODE_MODULES.parent / "authorization_server.mjs"
FORM = re.compile(r'<form[^>]* action="([^"]+)"')
PROMPT = re.compile(r'name="prompt" value="(\w+)"')


@contextmanager
def authorization_server(*resources: str, signer: str = "") -> Iterator[str]:
    """Its issuer URL; it makes tokens for the `resources`. `signer`: that client's public key (JWK)."""
    assert (NODE_MODULES / "oidc-provider").is_dir(), "the test tools are not installed: run scripts/node.sh"
    node = next(NODE_MODULES.glob("node-linux-*")) / "bin" / "node"
    with subprocess.Popen(
        [node, SCRIPT, *resources],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "NODE_ENV": "test", "SIGNER_KEY": signer},
    ) as process:
        try:
            issuer = process.stdout.readline().strip()
            assert issuer, "the authorization server did not start"
            yield issuer
        finally:
            process.kill()


async def log_in(url: str, user: str) -> str:
    """What a person does in the browser: the name, then consent; where that leads back to."""
    async with httpx2.AsyncClient(timeout=20) as browser:
        answer = await browser.get(url)
        for _ in range(10):
            if answer.is_redirect:
                target = urljoin(url, answer.headers["location"])
                if "code=" in target or "error=" in target:
                    return target
                answer = await browser.get(target)
                continue
            assert answer.status_code == 200, answer.text
            prompt = PROMPT.search(answer.text)[1]
            fields = {"prompt": prompt, "login": user, "password": "any"}
            answer = await browser.post(urljoin(url, FORM.search(answer.text)[1]), data=fields)
    raise AssertionError("the login did not end")


def answered(url: str, name: str) -> str | None:
    """A parameter of the URL that the login led back to."""
    return parse_qs(urlsplit(url).query).get(name, [None])[0]
