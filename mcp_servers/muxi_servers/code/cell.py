"""Runs one piece of source after another in one namespace, as an interactive interpreter would."""

from __future__ import annotations

import ast
import linecache
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from types import CodeType, TracebackType
    from typing import Any

__all__ = ["Cells"]

_MAX_TEXT = 20_000
_CO_COROUTINE = 0x80  # as in `inspect`, whose import takes longer than all the rest of a session's start


class Cells:
    """The namespace, and a name for each piece of source so that tracebacks show its lines."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self._count = 0
        self._runner: asyncio.Runner | None = None

    def run(self, source: str) -> object:
        """Run it; the value of its last statement if that is an expression without a semicolon after it, else `None`.

        Raises:
            BaseException: whatever the source raises; SystemExit ends the session.
        """
        self._count += 1
        name = f"<input {self._count}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        tree = ast.parse(source, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        if tree.body:
            self._evaluate(compile(tree, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True))
        if not isinstance(last, ast.Expr):
            return None
        expression = ast.Expression(last.value)
        value = self._evaluate(compile(expression, name, "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True))
        return None if source.rstrip().endswith(";") else value

    def describe(self, error: BaseException) -> dict[str, str]:
        """An exception for the reply; its traceback begins in the user's source."""
        error.__traceback__ = _from_input(error.__traceback__)
        lines = traceback.format_exception(error)
        return {
            "type": type(error).__name__[:200],
            "message": _bounded(str(error)),
            "traceback": _bounded("".join(lines)),
        }

    def _evaluate(self, code: CodeType) -> object:
        value = eval(code, self.namespace)  # noqa: S307 - running source is what this is for  # nosec B307
        if not (code.co_flags & _CO_COROUTINE):
            return value
        if self._runner is None:
            import asyncio  # noqa: PLC0415 - only where the source awaits

            self._runner = asyncio.Runner()
        return self._runner.run(value)


def _from_input(found: TracebackType | None) -> TracebackType | None:
    while found and not found.tb_frame.f_code.co_filename.startswith("<input "):
        found = found.tb_next
    return found


def _bounded(text: str) -> str:
    if len(text) <= _MAX_TEXT:
        return text
    half = _MAX_TEXT // 2
    return f"{text[:half]}\n[... {len(text) - _MAX_TEXT} characters left out ...]\n{text[-half:]}"
