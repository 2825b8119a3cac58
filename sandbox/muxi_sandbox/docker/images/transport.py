"""How a build on this host reaches a Debian mirror and a Python index: sources, options, certificates, proxies.

None of it is an input of an image: it is removed in the build, and the hash does not know it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess  # nosec B404 # one fixed command
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muxi_sandbox.docker.images.mirror import Mirrors, host_mirrors, parse_options
from muxi_sandbox.docker.images.pip_index import host_pip_options

__all__ = ["Transport", "host_transport"]

BUNDLES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
LOOPBACK = re.compile(r"//(?:[^/@\s]*@)?(?:localhost|127\.[0-9.]+|\[::1\])(?=[:/\s\"]|$)", re.IGNORECASE)
DUMP_SECONDS = 30


@dataclass(frozen=True)
class Transport:
    """What this host knows, each part empty if it knows nothing special.

    Attributes:
        mirrors: `None`: whatever the base image or mmdebstrap has by itself.
        options: lines of apt.conf.
        pip: options of pip.conf.
        certificates: a bundle in PEM form.
        proxies: the proxy variables of the environment, in both cases of their names.
    """

    mirrors: Mirrors | None = None
    options: tuple[str, ...] = ()
    certificates: bytes = b""
    proxies: Mapping[str, str] = field(default_factory=dict)
    pip: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs_host_network(self) -> bool:
        """Whether a mirror, index or proxy is on this host's loopback, which a build's network does not reach."""
        mirrors = [self.mirrors.archive, self.mirrors.security or ""] if self.mirrors else []
        texts = (*mirrors, *self.options, *self.proxies.values(), *self.pip.values())
        return any(LOOPBACK.search(text) for text in texts)

    def files(self, suite: str) -> dict[str, bytes]:
        """What the scripts in `shared` look for beside themselves; no mirrors for a suite that is not Debian's."""
        files: dict[str, bytes] = {}
        if self.mirrors is not None and suite:
            files["sources.list"] = _text(self.mirrors.sources(suite))
        if self.options:
            files["apt.conf"] = _text(self.options)
        if self.pip:
            files["pip.conf"] = _text(("[global]", *(f"{option} = {value}" for option, value in self.pip.items())))
        if self.certificates:
            files["ca.crt"] = self.certificates
        return files


def host_transport(environment: Mapping[str, str] | None = None) -> Transport:
    """This host's settings; what cannot be read is left out. Blocks for some milliseconds."""
    environment = os.environ if environment is None else environment
    return Transport(
        host_mirrors(), _apt_options(), _certificates(environment), _proxies(environment), host_pip_options(environment)
    )


def _text(lines: tuple[str, ...]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _apt_options() -> tuple[str, ...]:
    program = shutil.which("apt-config")
    if program is None:
        return ()
    try:
        run = subprocess.run(  # noqa: S603 # nosec B603 # a fixed command
            [program, "dump"], capture_output=True, text=True, timeout=DUMP_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_options(run.stdout)


def _certificates(environment: Mapping[str, str]) -> bytes:
    named = [Path(environment[name]) for name in BUNDLES if environment.get(name)]
    for path in [*named, SYSTEM_BUNDLE]:
        try:
            return path.read_bytes()
        except OSError:
            continue
    return b""


def _proxies(environment: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in PROXIES:
        value = environment.get(name) or environment.get(name.upper())
        if value:
            found |= {name: value, name.upper(): value}
    return found
