"""Refuse system calls that a model does not need, irrevocably, with a seccomp filter (Linux 3.17, man 2 seccomp).

The filter is a list of calls that are refused, not of calls that are allowed: TensorFlow, JAX and PyTorch use other
calls with each version. Landlock and the namespaces limit what the remaining calls reach.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterator

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
"""Offsets in struct seccomp_data. For an argument, it is the offset of its lower half on a little-endian machine."""
_X32 = 0x40000000
"""Numbers from here on are system calls of the x32 interface, which the list of refused calls does not contain."""
_CLONE_THREAD = 0x10000

_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1), "riscv64": (0xC00000F3, 1)}
"""The AUDIT_ARCH number of each machine, and its column in the tables of system calls."""

_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # sockets: no network, and no socket of a server such as Redis or PostgreSQL in a folder
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # programs, processes and sessions; threads are made by clone, see _guarded
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "tkill": (200, 130),
    "personality": (135, 92),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "setpriority": (141, 140),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "vhangup": (153, 58),
    # shared memory and queues of System V
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    # owners, modes, times and attributes of files, which Landlock does not restrict; some of these calls need only a
    # file that is open for reading
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # namespaces, mounts and rights
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setgroups": (116, 159),
    "setfsuid": (122, 151),
    "setfsgid": (123, 152),
    "capset": (126, 91),
    # interfaces of the kernel with a history of vulnerabilities, and io_uring, whose operations bypass this filter
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "modify_ldt": (154, None),
    "fanotify_init": (300, 262),
    # the machine as a whole
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "syslog": (103, 116),
}
"""The refused system calls: the number on x86_64, and on aarch64 and riscv64; None if a machine has no such call."""
_CLONE, _CLONE3 = (56, 220), (435, 435)
_ONLY_THIS_PROCESS = {
    "kill": (62, 129),
    "tgkill": (234, 131),
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
}
"""Calls that are accepted if their first argument is this process. glibc needs them for abort and for limits."""
_ZERO_IS_THIS_PROCESS = ("prlimit64", "sched_setaffinity")
"""Calls for which the process number 0 means this process. (For kill, it means the process group.)"""
_SIGNAL_OWNERS = {"fcntl": ((72, 25), (8, 10, 15)), "ioctl": ((16, 29), (0x8901, 0x8902))}
"""Calls that are refused for some values of their second argument: F_SETOWN, F_SETSIG, F_SETOWN_EX, FIOSETOWN and
SIOCSPGRP. These values choose a process, and the signal that it gets when a pipe becomes readable. Landlock can refuse
such signals since Linux 6.12."""

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse_system_calls() -> bool:
    """Refuse system calls that a model does not need, in this process and in all threads that it starts later.

    Requires PR_SET_NO_NEW_PRIVS. Returns False if the kernel or the machine does not support the filter.
    """
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None or sys.maxsize < 2**32:
        return False
    code = b"".join(_instructions(*machine, os.getpid()))
    program = _Program(len(code) // 8, code)
    return bool(_libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _instructions(machine: int, column: int, process: int) -> Iterator[bytes]:
    yield _step(_LOAD, _MACHINE)
    yield _step(_EQUAL, machine, 1, 0)
    yield _step(_RETURN, _KILL)
    yield _step(_LOAD, _NUMBER)
    yield _step(_AT_LEAST, _X32, 0, 1)
    yield _step(_RETURN, _KILL)
    for numbers in _REFUSED.values():
        if numbers[column] is not None:
            yield from _refuse(numbers[column] or 0, errno.EPERM)
    yield from _refuse(_CLONE3[column], errno.ENOSYS)  # the filter cannot read its flags; glibc then calls clone
    yield from _guarded(_CLONE[column], [_step(_ANY_BIT, _CLONE_THREAD, 1, 0)])
    for name, numbers in _ONLY_THIS_PROCESS.items():
        own = [_step(_EQUAL, process, 1, 0)]
        itself = [_step(_EQUAL, 0, 2, 0)] if name in _ZERO_IS_THIS_PROCESS else []
        yield from _guarded(numbers[column], itself + own)
    for numbers, values in _SIGNAL_OWNERS.values():
        yield from _refuse_values(numbers[column], values)
    yield _step(_RETURN, _ALLOW)


def _refuse(number: int, error: int) -> Iterator[bytes]:
    yield _step(_EQUAL, number, 0, 1)
    yield _step(_RETURN, _ERRNO | error)


def _guarded(number: int, tests: list[bytes]) -> Iterator[bytes]:
    """Yield the instructions that refuse a system call unless its first argument passes one of the tests."""
    yield _step(_EQUAL, number, 0, len(tests) + 3)
    yield _step(_LOAD, _FIRST_ARGUMENT)
    yield from tests
    yield _step(_RETURN, _ERRNO | errno.EPERM)
    yield _step(_RETURN, _ALLOW)


def _refuse_values(number: int, values: tuple[int, ...]) -> Iterator[bytes]:
    """Yield the instructions that refuse a system call if its second argument is one of the values."""
    yield _step(_EQUAL, number, 0, len(values) + 3)
    yield _step(_LOAD, _SECOND_ARGUMENT)
    for index, value in enumerate(values):
        yield _step(_EQUAL, value, len(values) - index, 0)
    yield _step(_RETURN, _ALLOW)
    yield _step(_RETURN, _ERRNO | errno.EPERM)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
