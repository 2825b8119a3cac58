"""JSON to Python and back, on the interpreter's C accelerator alone.

The package `json` pulls in `re` and `enum`, 1.9 MiB of the 8.2 MiB that a bare interpreter has; the accelerator behind
it needs neither. Stricter than `json`: no duplicate keys, no NaN, no infinity, no half surrogate pairs, bounded depth.
"""

from __future__ import annotations

from _json import encode_basestring, make_encoder, make_scanner

from muxi_servers.kit.errors import FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["MAX_DEPTH", "decode", "encode"]

MAX_DEPTH = 64
_INFINITE = (float("inf"), float("-inf"))


class _Duplicate(ValueError):  # noqa: N818 - a private signal out of the C scanner, never seen outside
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Duplicate
    return made


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _float(digits: str) -> float:
    value = float(digits)
    if value in _INFINITE:
        raise ValueError(f"{digits[:40]} is more than a number can be here")
    return value


class _Context:
    """What the C scanner reads its options from."""

    strict = True
    object_hook = None
    object_pairs_hook = staticmethod(_object)
    parse_float = staticmethod(_float)
    parse_int = int
    parse_constant = staticmethod(_constant)
    memo: dict[str, str] = {}  # noqa: RUF012 - the scanner's own cache of keys, emptied by it after each use


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} is not JSON")


_scan = make_scanner(_Context())  # type: ignore[arg-type]  # the stub wants a JSONDecoder; the code reads these fields
_encode = make_encoder(None, _refuse, encode_basestring, None, ":", ",", False, False, False)  # noqa: FBT003 - C, positional only


def encode(message: object) -> bytes:
    """One line without its line feed. Half surrogate pairs become `?`: a strict peer takes no others.

    Raises:
        TypeError: a value that is not JSON.
        ValueError: NaN or an infinity.
    """
    return "".join(_encode(message, 0)).encode("utf-8", "replace")


def decode(line: bytes, max_depth: int = MAX_DEPTH) -> Any:  # noqa: ANN401 - any JSON value
    """The one JSON value of a line.

    Raises:
        FrameError: it is not UTF-8, not JSON, or has duplicate keys, numbers such as 1e999, half surrogate pairs or
            too deep nesting.
    """
    try:
        text = line.decode("utf-8").strip(" \t\r\n")
    except UnicodeDecodeError as error:
        raise FrameError(f"the message is not UTF-8: {error.reason} at byte {error.start}") from None
    try:
        value, end = _scan(text, 0)
    except (_Duplicate, RecursionError, StopIteration, SystemError, ValueError) as error:
        raise FrameError(_explain(error)) from None
    if end != len(text):
        raise FrameError(f"the message is not JSON: more text after the value at character {end}")
    if depth_of(value, max_depth) > max_depth:
        raise FrameError(f"the message is nested deeper than {max_depth} levels")
    if "\\u" in text and _has_half_surrogates(value):
        raise FrameError("a string has half a surrogate pair")
    return value


def _explain(error: Exception) -> str:
    if isinstance(error, _Duplicate):
        return "an object has the same key twice"
    if isinstance(error, RecursionError):
        return "the message is nested too deep"
    if isinstance(error, StopIteration):
        return f"the message is not JSON: no value at character {error.value}"
    if isinstance(error, SystemError):
        # Python 3.11's scanner has no exception to raise for a syntax error while `json` is not imported.
        return "the message is not JSON"
    return f"the message is not JSON: {error}"


def depth_of(value: object, stop: int) -> int:
    """Levels of nesting, without recursion; gives up counting past `stop`."""
    level = [value]
    depth = 0
    while level and depth <= stop:
        depth += 1
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = [item for item in below if isinstance(item, dict | list)]
    return depth


def _has_half_surrogates(value: object) -> bool:
    try:
        "".join(_encode(value, 0)).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
