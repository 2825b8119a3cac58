"""A site of its own, over HTTPS and HTTP, with what network clients fetch: pages, a package index, a repository."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import ssl
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["Site", "local_site"]

PAGE = "a page of the site\n"


@dataclass(frozen=True)
class Site:
    """Where it is. `authority` is the certificate, in PEM form, that clients have to trust."""

    name: str
    https_port: int
    http_port: int
    authority: str

    @property
    def https(self) -> str:
        return f"https://{self.name}:{self.https_port}"

    @property
    def http(self) -> str:
        return f"http://{self.name}:{self.http_port}"


@contextmanager
def local_site(folder: Path, name: str, address: str = "127.0.0.1") -> Iterator[Site]:
    """Serve it on free ports of `address` for the block, as `name`."""
    root = folder / "site"
    root.mkdir()
    (root / "page.txt").write_text(PAGE)
    (root / "page.html").write_text(
        "<!doctype html><title>t</title><p id=p>before</p><script>p.textContent='a' + 'live'</script>"
    )
    add_wheel(root)
    add_repository(root, folder / "work")
    certificate, authority = make_certificate(folder, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(root, address, context) as https_port, serving(root, address, None) as http_port:
        site = Site(name, https_port, http_port, authority.read_text())
        add_npm_package(root, site)
        yield site


@contextmanager
def serving(root: Path, address: str, context: ssl.SSLContext | None) -> Iterator[int]:
    with ThreadingHTTPServer((address, 0), partial(Files, directory=str(root))) as server:
        server.daemon_threads = True
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class Files(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """The server's key and certificate in one file, and the authority's certificate."""

    def openssl(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, capture_output=True)

    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2),
        *("-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"),
        *("-addext", "keyUsage=critical,keyCertSign"),
    )
    openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"),
        *("-keyout", "site.key", "-out", "site.csr"),
    )
    kind = "IP" if name.replace(".", "").isdigit() else "DNS"
    (folder / "site.ext").write_text(f"subjectAltName={kind}:{name}\nbasicConstraints=CA:FALSE\n")
    openssl(
        *("x509", "-req", "-in", "site.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", 2),
        *("-extfile", "site.ext", "-out", "site.crt"),
    )
    both = folder / "site.pem"
    both.write_text((folder / "site.key").read_text() + (folder / "site.crt").read_text())
    return both, folder / "ca.pem"


def add_wheel(root: Path) -> None:
    """A package index with one package: `/simple/sample/`."""
    wheel = root / "simple" / "sample" / "sample_package-1.0-py3-none-any.whl"
    wheel = wheel.with_name("sample-1.0-py3-none-any.whl")
    wheel.parent.mkdir(parents=True)
    files = {
        "sample.py": "WORD = 'installed'\n",
        "sample-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n",
        "sample-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in files) + "sample-1.0.dist-info/RECORD,,\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, "sample-1.0.dist-info/RECORD": record}.items():
            archive.writestr(name, text)
    (wheel.parent / "index.html").write_text(f'<!doctype html><a href="{wheel.name}">{wheel.name}</a>')


def add_repository(root: Path, work: Path) -> None:
    """A repository that a plain file server can serve: `/sample.git`."""

    def git(*arguments: object) -> None:
        options = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *options, *map(str, arguments)], check=True, capture_output=True)

    git("init", work)
    (work / "file.txt").write_text("cloned\n")
    git("-C", work, "add", "file.txt")
    git("-C", work, "commit", "-m", "first")
    git("clone", "--bare", work, root / "sample.git")
    git("-C", root / "sample.git", "update-server-info")


def add_npm_package(root: Path, site: Site) -> None:
    """A registry with one package: `/npm/sample`, read by its name from `/npm`."""
    files = {
        "package.json": json.dumps({"name": "sample", "version": "1.0.0", "main": "index.js"}),
        "index.js": "module.exports = 'installed'\n",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    data = packed.getvalue()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    dist = {"tarball": f"{site.https}/sample-1.0.0.tgz", "integrity": integrity}
    version = {**json.loads(files["package.json"]), "dist": dist}
    document = {"name": "sample", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    (root / "sample-1.0.0.tgz").write_bytes(data)
    (root / "npm").mkdir()
    (root / "npm" / "sample").write_text(json.dumps(document))
