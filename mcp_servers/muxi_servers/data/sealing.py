"""From `seal` on this process can change no file, start no program and connect nowhere, whatever it is made to run.

DuckDB 2 takes writing statements inside a SELECT (`WITH x AS (COPY ... TO 'file') ...`), also by way of `query('...')`
and of views in a database file, so that no look at a statement tells that it only reads. The kernel does: a seccomp
filter refuses every system call that opens for writing or changes a name. See seccomp(2) and bpf's classic form.
"""

from __future__ import annotations

import os
from ctypes import CDLL, POINTER, Structure, c_ubyte, c_uint32, c_ulong, c_ushort, get_errno, pointer
from errno import ENOSYS, EPERM

from muxi_servers.kit.errors import ToolError

__all__ = ["seal"]

_PR_SET_NO_NEW_PRIVS = 38
_SET_FILTER, _ALL_THREADS = 1, 1
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | EPERM, 0x80000000
_UNKNOWN = 0x00050000 | ENOSYS  # as on a kernel that does not have the call: programs take an older one
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_X32 = 0x40000000
_OPENAT2 = 437  # on both: a filter cannot see its flags
_NEWER = 440  # on both: calls from there on came after Linux 5.9, some of which change files

# Of each machine: (its number, seccomp's own, {open's: which argument has the flags}, calls that are refused).
_MACHINES: dict[str, tuple[int, int, dict[int, int], tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E,
        317,
        {2: 1, 257: 2},
        (
            # creat truncate ftruncate rename mkdir rmdir link unlink symlink chmod fchmod chown fchown lchown utime
            # mknod
            *(85, 76, 77, 82, 83, 84, 86, 87, 88, 90, 91, 92, 93, 94, 132, 133),
            # setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr, mkdirat mknodat fchownat futimesat
            *(188, 189, 190, 197, 198, 199, 258, 259, 260, 261),
            # unlinkat renameat linkat symlinkat fchmodat utimensat renameat2 fallocate utimes
            *(263, 264, 265, 266, 268, 280, 316, 285, 235),
            # execve execveat, socket socketpair connect bind, ptrace process_vm_readv process_vm_writev
            *(59, 322, 41, 53, 42, 49, 101, 310, 311),
            # mount pivot_root chroot name_to_handle_at open_by_handle_at, kill tgkill pidfd_send_signal
            # io_uring_setup
            *(165, 155, 161, 303, 304, 62, 234, 424, 425),
            # tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_getfd
            *(200, 129, 297, 434, 438),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        277,
        {56: 2},
        (
            # truncate ftruncate mknodat mkdirat unlinkat symlinkat linkat renameat renameat2 fallocate fchmod fchmodat
            *(45, 46, 33, 34, 35, 36, 37, 38, 276, 47, 52, 53),
            # fchownat fchown utimensat, setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
            *(54, 55, 88, 5, 6, 7, 14, 15, 16),
            # execve execveat, socket socketpair bind connect, ptrace process_vm_readv process_vm_writev
            *(221, 281, 198, 199, 200, 203, 117, 270, 271),
            # mount pivot_root chroot name_to_handle_at open_by_handle_at, kill tgkill pidfd_send_signal
            # io_uring_setup
            *(40, 41, 51, 264, 265, 129, 131, 424, 425),
            # tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_getfd
            *(130, 138, 240, 434, 438),
        ),
    ),
}


class _Step(Structure):
    _fields_ = [("code", c_ushort), ("if_true", c_ubyte), ("if_false", c_ubyte), ("value", c_uint32)]


class _Program(Structure):
    _fields_ = [("length", c_ushort), ("steps", POINTER(_Step))]


def seal() -> None:
    """Put the filter on this process, all of its threads and all that it will start; it cannot be taken off.

    Raises:
        ToolError: this machine or kernel has no such filter, so nothing may be run.
    """
    machine = _MACHINES.get(os.uname().machine)
    if machine is None:
        raise ToolError(f"Data cannot be read safely on this kind of machine ({os.uname().machine}).")
    architecture, seccomp, opens, refused = machine
    steps = _steps(architecture, opens, refused)
    program = _Program(len(steps), (_Step * len(steps))(*steps))
    libc = CDLL(None, use_errno=True)
    long = c_ulong
    if (
        libc.prctl(_PR_SET_NO_NEW_PRIVS, long(1), long(0), long(0), long(0)) != 0
        or libc.syscall(long(seccomp), long(_SET_FILTER), long(_ALL_THREADS), pointer(program)) != 0
    ):
        raise ToolError(f"Data cannot be read safely here: the kernel took no filter ({os.strerror(get_errno())}).")


def _steps(number: int, opens: dict[int, int], refused: tuple[int, ...]) -> list[_Step]:
    steps = [
        _Step(_LOAD, 0, 0, _ARCH),
        _Step(_JUMP_EQUAL, 1, 0, number),
        _Step(_RETURN, 0, 0, _KILL),
        _Step(_LOAD, 0, 0, _NUMBER),
        _Step(_JUMP_AT_LEAST, 0, 1, _X32),
        _Step(_RETURN, 0, 0, _REFUSE),
    ]
    steps += [_Step(_JUMP_AT_LEAST, 0, 1, _NEWER), _Step(_RETURN, 0, 0, _UNKNOWN)]
    steps += [_Step(_JUMP_EQUAL, 0, 1, _OPENAT2), _Step(_RETURN, 0, 0, _UNKNOWN)]
    for call in refused:
        steps += [_Step(_JUMP_EQUAL, 0, 1, call), _Step(_RETURN, 0, 0, _REFUSE)]
    for call, argument in opens.items():
        steps += [
            _Step(_JUMP_EQUAL, 0, 4, call),
            _Step(_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
            _Step(_JUMP_ANY_BIT, 0, 1, _WRITES),
            _Step(_RETURN, 0, 0, _REFUSE),
            _Step(_RETURN, 0, 0, _ALLOW),
        ]
    return [*steps, _Step(_RETURN, 0, 0, _ALLOW)]
