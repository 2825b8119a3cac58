"""What runs in the child: one document, one operation, under limits. Forked from the zygote for each call.

The request comes over standard input, the answer leaves over descriptor 4, both JSON; a line on standard output is
progress. Whatever a hostile document makes of this process, it ends with the call.
"""

from __future__ import annotations

import os
import resource
import sys
from importlib import import_module

from muxi_servers.documents.bounds import CHILD_MEMORY_MIB, MAX_ANSWER_BYTES
from muxi_servers.kit.codec import decode, encode
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.frames import write_all
from muxi_servers.kit.workspace import Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["OPERATIONS", "main", "perform"]

OPERATIONS = frozenset(("info", "read", "tables", "ocr", "chunk", "write", "convert"))
_ANSWER = 4
_MAX_FILE_BYTES = 256 * 2**20
_MIB = 2**20


def main(seconds: int) -> int:
    """Answer the one request on standard input. The working folder is the workspace."""
    _limit(seconds)
    request = decode(sys.stdin.buffer.read())
    answer = encode(perform(request["operation"], request["arguments"], Workspace(os.getcwd())))
    if len(answer) > MAX_ANSWER_BYTES:
        answer = encode({"error": f"The answer has {len(answer)} bytes; ask for fewer parts or rows."})
    write_all(_ANSWER, answer)
    return 0


def perform(operation: str, arguments: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """`{"result": structured content}` or `{"error": what to tell the caller}`."""
    if operation not in OPERATIONS:
        raise ValueError(operation)
    run = import_module(f"muxi_servers.documents.operations.{operation}").run
    try:
        return {"result": run(arguments, workspace)}
    except ToolError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": f"The document needs more than {CHILD_MEMORY_MIB} MiB of memory. Ask for fewer parts."}


def _limit(seconds: int) -> None:
    """For this process and every program that it starts."""
    memory = CHILD_MEMORY_MIB * _MIB
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_FILE_BYTES, _MAX_FILE_BYTES))
    os.environ["OMP_THREAD_LIMIT"] = "1"
