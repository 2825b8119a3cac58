"""The server's end of the zygote: where programs are started.

`Launcher.begin` has to run first thing in a server's process, before threads and before standard input is read.
"""

from __future__ import annotations

import _socket
import marshal
import os
import sys
from select import POLLIN, poll

from muxi_servers.kit.errors import LaunchError
from muxi_servers.kit.linux import adopt_orphans, end_descendants, set_dumpable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, Self

__all__ = ["EXIT_BROKEN", "Launcher", "Program", "give_up", "program_environment"]

EXIT_BROKEN = 70
_MAX_REQUEST_BYTES = 150_000  # as in standby
_PACKET = 256
_LINK = 3  # the zygote's only descriptor beside the standard ones
_START_SECONDS = 10.0
_END_SECONDS = 10.0
_PASSED_ON = (
    *("TZ", "MPLCONFIGDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "NODE_USE_ENV_PROXY"),
    *("CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT", "npm_config_cafile"),
    "NODE_OPTIONS",  # the image's own: it makes fetch follow the proxies
)
_PLACEHOLDER = "muxi-secret-"
"""What stands for a secret; the proxy puts the value in. It is of no use elsewhere, so programs may have it."""


def give_up(why: str) -> NoReturn:
    """End this server at once, because it can no longer keep its promises; the sandbox dies with it."""
    os.write(2, f"the server gives up: {why}\n".encode())
    os._exit(EXIT_BROKEN)


def program_environment(temporary: str) -> dict[str, str]:
    """What a program finds in its environment; of the server's own only what is named above."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108 - the sandbox's own tmpfs  # nosec B108
        "TMPDIR": temporary,
        "LANG": "C.UTF-8",
        "MPLBACKEND": "Agg",
        "PYTHONDONTWRITEBYTECODE": "1",
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        **{name: value for name, value in os.environ.items() if value.startswith(_PLACEHOLDER)},
    }


class Program:
    """A running program with the server's ends of its pipes. Close it when done: it ends what is left.

    Attributes:
        control: the socket to its keeper, to be polled; read it with `receive`.
        stdin, stdout, stderr: descriptors, not blocking; -1 once closed.
        channel: for a program that was started with one, (write to it, read from it).
        pid: its process id.
    """

    def __init__(self, control: _socket.socket, pipes: list[int], channel: tuple[int, int] | None) -> None:
        self.control = control
        self.stdin, self.stdout, self.stderr = pipes
        self.channel = channel
        self.pid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def receive(self) -> tuple[str, list[str]]:
        """The keeper's next word and what follows it; `lost` if there is no keeper any more."""
        try:
            packet = self._receive_packet()
        except TimeoutError:
            give_up(f"the keeper of program {self.pid} does not answer")
        word, *rest = packet.decode("ascii", "replace").split(" ") if packet else ["lost"]
        if word == "stuck":
            give_up("a program could not be killed")
        return word, rest

    def _receive_packet(self) -> bytes:
        try:
            return self.control.recv(_PACKET)
        except ConnectionError:
            # The keeper ended with a word of ours unread; the kernel reports that once, ahead of its last packet.
            return self.control.recv(_PACKET)

    def tell(self, word: str) -> None:
        """Send a word to the keeper; one that is gone has nothing left to do. Never waits long, from any thread."""
        try:
            self.control.send(word.encode())
        except OSError:
            return

    def is_alive(self) -> bool:
        """Whether its keeper has nothing to say: it speaks unasked only when the program has ended."""
        poller = poll()
        poller.register(self.control, POLLIN)
        return not poller.poll(0)

    def end(self) -> None:
        """Ask for the program and all that it started to be killed; does not wait."""
        self.tell("end")

    def close_stdin(self) -> None:
        """Let the program see the end of its input."""
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def close(self) -> None:
        """Kill what is left and give the descriptors back; may be called twice."""
        self.close_stdin()
        self.control.close()
        for descriptor in (self.stdout, self.stderr, *(self.channel or ())):
            if descriptor >= 0:
                os.close(descriptor)
        self.stdout = self.stderr = -1
        self.channel = None


class Launcher:
    """Starts programs by asking the zygote."""

    def __init__(self, link: _socket.socket) -> None:
        self._link = link

    @classmethod
    def begin(cls) -> Launcher:
        """Make this process unreadable for its programs and fork the zygote, which never returns from here."""
        set_dumpable(on=False)
        adopt_orphans()
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            _serve_zygote(ours, theirs)
        theirs.close()
        return cls(ours)

    def start(self, request: dict[str, object], *, folder: int, temporary: str, channel: bool = False) -> Program:
        """Start a program in a working folder (a descriptor).

        `request` has `argv` (a program to exec) or `function` ("module:function", called in a fork of the
        interpreter) and its `args`. With `channel` the program has two pipes more: 3 to read, 4 to write.

        Raises:
            LaunchError: it could not be started.
        """
        packet = marshal.dumps({"args": [], **request, "env": program_environment(temporary)})
        if len(packet) > _MAX_REQUEST_BYTES:
            raise LaunchError(f"The arguments have {len(packet)} bytes; {_MAX_REQUEST_BYTES} at most. Use a file.")
        try:
            program, theirs, near = _make_program(channel=channel)
        except OSError as error:
            raise LaunchError(f"No pipe for the program: {error.strerror}. End programs that still run.") from None
        try:
            self._send(packet, [near.fileno(), folder, *theirs])
        finally:
            near.close()
            for descriptor in theirs:
                os.close(descriptor)
        program.control.settimeout(_START_SECONDS)
        word, rest = program.receive()
        if word != "started":
            program.close()
            raise LaunchError(
                f"The program could not be started: {' '.join(rest) or word}. End programs that still run."
            )
        program.pid = int(rest[0])
        return program

    def end(self) -> None:
        """End the zygote, every keeper and every program; waits a bounded time."""
        self._link.close()
        end_descendants(seconds=_END_SECONDS)

    def _send(self, packet: bytes, descriptors: list[int]) -> None:
        data = b"".join(number.to_bytes(4, sys.byteorder) for number in descriptors)
        try:
            self._link.sendmsg([packet], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, data)])
        except OSError as error:
            give_up(f"the zygote is gone: {error.strerror}")


def _make_program(*, channel: bool) -> tuple[Program, list[int], _socket.socket]:
    """The server's ends, the program's descriptors (0, 1, 2 and the channel's), and the keeper's socket."""
    opened: list[int] = []
    try:
        for _ in range(5 if channel else 3):
            opened += os.pipe2(os.O_CLOEXEC)
        control, near = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    except OSError:
        for descriptor in opened:
            os.close(descriptor)
        raise
    their_stdin, stdin, stdout, their_stdout, stderr, their_stderr, *more = opened
    theirs = [their_stdin, their_stdout, their_stderr]
    ends = None
    if channel:
        their_in, out, back, their_out = more
        theirs += [their_in, their_out]
        ends = (out, back)
    for descriptor in (stdin, stdout, stderr, *(ends or ())):
        os.set_blocking(descriptor, False)
    return Program(control, [stdin, stdout, stderr], ends), theirs, near


def _serve_zygote(ours: _socket.socket, theirs: _socket.socket) -> NoReturn:
    from muxi_servers.kit import zygote  # noqa: PLC0415 - the server itself has no use for it

    ours.close()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    link = _socket.socket(fileno=os.dup2(theirs.detach(), _LINK, inheritable=False))
    os.closerange(_LINK + 1, os.sysconf("SC_OPEN_MAX"))
    zygote.serve(link)
