"""The child's side of starting a program: from a fork of the zygote to the program itself."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C half of `signal`, a megabyte lighter; typeshed has no stub
import _thread
import atexit
import gc
import marshal
import os
import sys

from muxi_servers.kit.linux import set_dumpable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, NoReturn

__all__ = ["become", "prepare", "run_script"]

_PARKED = 64  # descriptors are moved here first, so that none is overwritten before it is used
_OOM_SCORE = b"1000"  # the most: the kernel takes a program, however small, before the server, which has its 500
_NICENESS = 5
_NOT_FOUND = 127
_INTERRUPTED = 130
_FLUSH_FAILED = 120  # as the interpreter has it


def prepare() -> None:
    """What needs no request.

    It also touches the memory that `become` and a small script need: the first touch of each page after a fork copies
    it, which takes longer than all that is done here.
    """
    os.setsid()
    os.umask(0o022)
    os.nice(_NICENESS)
    sys.dont_write_bytecode = True
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]  # text streams here
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]  # as above
    os.environ.update(dict(os.environ))
    marshal.loads(marshal.dumps({"function": __name__, "args": [""], "env": dict(os.environ)}))  # noqa: S302  # nosec B302 - our own
    main = type(sys)("__main__")
    with open("/dev/null", "rb") as file:
        exec(compile(file.read() or b"pass", "", "exec", dont_inherit=True), main.__dict__)  # noqa: S102 - our own  # nosec B102
    gc.collect()


def become(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Turn this process, which is prepared, into the program. Descriptors: working folder, 0, 1, 2 and those from 3 on.

    Raises:
        SystemExit: a Python function has ended; it ends the interpreter the ordinary way.
    """
    os.chdir(descriptors[0])
    _place(descriptors[1:])
    _reset_signals(for_exec="argv" in request)
    set_dumpable(on=True)
    _stand_first_in_line()
    os.environ.clear()
    os.environ.update(request["env"])
    if "argv" in request:
        _exec(request["argv"])
    module, _, function = request["function"].partition(":")
    __import__(module)
    raise SystemExit(getattr(sys.modules[module], function)(*request["args"]))


def _place(descriptors: list[int]) -> None:
    for index, descriptor in enumerate(descriptors):
        os.dup2(descriptor, _PARKED + index)
    for index in range(len(descriptors)):
        os.dup2(_PARKED + index, index)
    os.closerange(len(descriptors), os.sysconf("SC_OPEN_MAX"))


def _reset_signals(*, for_exec: bool) -> None:
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    if for_exec:  # Python itself ignores these two; other programs expect to end by them
        _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
        _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)


def _stand_first_in_line() -> None:
    """For the kernel, when memory is used up. Only a process that is dumpable may write this of itself."""
    try:
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, _OOM_SCORE)
        os.close(score)
    except OSError:
        return  # an engine without it (gVisor) picks its victim by size alone


def _exec(argv: list[str]) -> NoReturn:
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - running programs is what this is for  # nosec B606
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    os._exit(_NOT_FOUND)


def run_script(path: str, *args: str) -> int:
    """Run a Python file as `python3 PATH ARGS` would, its modules first found in the working folder.

    Raises:
        SystemExit: the file asked for an end with a message, or there are threads to wait for.
    """
    main = type(sys)("__main__")
    main.__dict__.update(__file__=path, __builtins__=sys.modules["builtins"])
    for name in [name for name in sys.modules if name.partition(".")[0] == "muxi_servers"]:
        del sys.modules[name]
    sys.modules["__main__"] = main
    sys.argv = [path, *args]
    sys.path.insert(0, os.getcwd())
    code = _run_main(path, main.__dict__)
    if _thread._count() == 0:  # noqa: SLF001 - the count of other threads without importing `threading`
        _leave(code, main.__dict__)
    return code


def _run_main(path: str, namespace: dict[str, Any]) -> int:
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
        exec(code, namespace)  # noqa: S102 - running source is what this is for  # nosec B102
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            raise
        return end.code or 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - reported as the interpreter would
        error.__traceback__ = _below(error.__traceback__, path)  # this module's frame is left out
        sys.excepthook(type(error), error, error.__traceback__)
        return 1 if isinstance(error, Exception) else _INTERRUPTED
    return 0


def _leave(code: int, namespace: dict[str, Any]) -> NoReturn:
    """End without taking the whole interpreter apart, which costs 3 ms of page faults in a forked process.

    What a program can tell the difference by is done: exit functions, files that were left open, buffered output.
    """
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no public name
    namespace.clear()
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            code = code or _FLUSH_FAILED
    os._exit(code & 0xFF)


def _below(traceback: TracebackType | None, path: str) -> TracebackType | None:
    """The part of a traceback that begins in the file."""
    while traceback and traceback.tb_frame.f_code.co_filename != path:
        traceback = traceback.tb_next
    return traceback
