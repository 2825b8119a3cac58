"""A host of git repositories over HTTP, by git's own CGI program."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

__all__ = ["GitSite", "git", "git_site"]


def git(folder: Path, *arguments: str) -> str:
    options = (
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "protocol.file.allow=always",
    )
    command = ["git", *options, *arguments]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, env=environment).stdout


@dataclass
class GitSite:
    """One repository with one commit on `main`. `credentials` are what requests had in `Authorization`."""

    url: str
    folder: Path
    credentials: list[str | None] = field(default_factory=list)


class _Backend(BaseHTTPRequestHandler):
    """Serves repositories by git's own CGI program."""

    root: Path
    heard: list[str | None]
    asks: bool

    def _serve(self) -> None:
        self.heard.append(self.headers.get("Authorization"))
        if self.asks and not self.headers.get("Authorization"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "REMOTE_USER": "t",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        if self.headers.get("Content-Encoding") == "gzip":
            environment["HTTP_CONTENT_ENCODING"] = "gzip"
        ran = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environment, check=False)
        head, _, content = ran.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(fields.pop("Status", "200").split(" ")[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _serve  # noqa: N815 - the names that the base class looks for

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def git_site(top: Path, address: str = "127.0.0.1", *, asks: bool = False) -> Iterator[GitSite]:
    """A repository that takes pushes, for the block; `asks` for a password, any will do."""
    bare, work = top / "served" / "a.git", top / "work"
    bare.parent.mkdir()
    git(top, "init", "--quiet", "--bare", str(bare))
    git(bare, "config", "http.receivepack", "true")
    git(top, "clone", "--quiet", str(bare), str(work))
    (work / "a.txt").write_text("one\n")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "--message=First")
    git(work, "push", "--quiet", "origin", "HEAD:main")
    heard: list[str | None] = []
    handler = type("Backend", (_Backend,), {"root": bare.parent, "heard": heard, "asks": asks})
    with ThreadingHTTPServer((address, 0), handler) as http:
        thread = Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield GitSite(f"http://{address}:{http.server_port}/a.git", bare, heard)
        finally:
            http.shutdown()
            thread.join()
