"""Drop the privileges of a process before it opens an untrusted file."""

import ctypes
import os
import resource
import signal
import site
import sys
from dataclasses import dataclass, fields
from pathlib import Path

from models.importing.landlock import NOTHING, Landlocked, restrict
from models.importing.memory import INSPECTION_BYTES, limit_memory
from models.importing.system_calls import refuse_system_calls

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000
_GIB = 1024**3
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/nix/store")
_FILES = (
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/mime.types"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm", "/proc/filesystems"),
    *("/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm", "/dev/urandom", "/dev/random"),
)
"""System files that Python and its libraries read. None of them shows passwords, host names, processes or disks."""
_WRITABLE = ("/dev/null", "/dev/zero")
_OWN = ("models", "imaging", "nightread")
_INHERITED = 3, 65536
_THREADS, _THREADS_PER_PROCESSOR = 64, 16

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceLimits:
    """The resources that the process may use."""

    cpu_seconds: int = 600
    file_bytes: int = 8 * _GIB
    data_bytes: int = 16 * _GIB
    """Memory in bytes; the limit is never above three quarters of the memory of the machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Confinement:
    """The restrictions that are active; some kernels and containers do not support all of them."""

    limits: bool
    no_new_privileges: bool
    no_network: bool
    """Whether the process is in user, network and IPC namespaces of its own."""
    files: bool
    """Whether access to files is restricted: the process can read only Python, libraries and its folder, can write only
    to its folder, and can start no program.
    """
    system_calls: bool
    """Whether system calls that a model does not need are refused: sockets, processes, modes of files, mounts."""
    ports: bool
    """Whether Landlock refuses TCP ports, too (Linux 6.7)."""
    scopes: bool
    """Whether Landlock refuses abstract sockets and signals to other processes, too (Linux 6.12)."""

    def missing(self) -> tuple[str, ...]:
        """Return the required restrictions that are not active."""
        return tuple(
            field.name for field in fields(self) if field.name not in BEST_EFFORT and not getattr(self, field.name)
        )


BEST_EFFORT = frozenset({"ports", "scopes"})
"""Restrictions that only recent kernels have. `no_network` and `system_calls` prevent the same accesses."""


def confine(folder: Path, limits: ResourceLimits) -> Confinement:
    """Restrict this process to `folder`, its libraries and limited resources. Call this before any thread starts."""
    os.closerange(*_INHERITED)
    limited = _limit(limits)
    if sys.platform != "linux":
        return _confinement(limited, NOTHING)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    no_new_privileges = _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    no_network = _leave_namespaces()
    # Landlock comes after the namespaces, which write to files below /proc. The filter comes last: it refuses both.
    landlocked = _restrict(folder)
    return _confinement(
        limited,
        landlocked,
        no_new_privileges=no_new_privileges,
        no_network=no_network,
        system_calls=refuse_system_calls(),
    )


def _confinement(
    limited: bool,
    landlocked: Landlocked,
    *,
    no_new_privileges: bool = False,
    no_network: bool = False,
    system_calls: bool = False,
) -> Confinement:
    return Confinement(
        limits=limited,
        no_new_privileges=no_new_privileges,
        no_network=no_network,
        files=landlocked.files,
        system_calls=system_calls,
        ports=landlocked.ports,
        scopes=landlocked.scopes,
    )


def _limit(limits: ResourceLimits) -> bool:
    for kind, wanted in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NPROC, _threads()),
        (resource.RLIMIT_DATA, min(limits.data_bytes, _memory() * 3 // 4)),
    ):
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))
    limit_memory(INSPECTION_BYTES)
    return True


def _threads() -> int:
    """Return the limit for the threads of this user.

    Kernels before 5.14 count the threads of all processes of the user.
    """
    own = _THREADS + _THREADS_PER_PROCESSOR * (os.cpu_count() or 1)
    return own + sum(_threads_of(process) for process in Path("/proc").glob("[0-9]*"))


def _threads_of(process: Path) -> int:
    try:
        return len(list((process / "task").iterdir())) if process.stat().st_uid == os.getuid() else 0
    except OSError:  # the process has just ended
        return 0


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _leave_namespaces() -> bool:
    """Move this process to a network namespace without interfaces and to an empty IPC namespace.

    Returns False if the system forbids that. A child process tries it first, because a process cannot return from its
    new namespaces. Some systems (AppArmor of Ubuntu 24.04) allow the namespaces but refuse to map the user into them.
    Without this mapping, the process could not create files.
    """
    child = os.fork()
    if child == 0:
        os._exit(0 if _enter_namespaces() else 1)
    _, status = os.waitpid(child, 0)
    return status == 0 and _enter_namespaces()


def _enter_namespaces() -> bool:
    user, group = os.getuid(), os.getgid()
    if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    except OSError:
        return False
    return True


def _restrict(folder: Path) -> Landlocked:
    own = Path(__file__).parents[2]
    libraries = {Path(sys.prefix), Path(sys.base_prefix), *map(Path, site.getsitepackages())}
    return restrict(
        read=[*libraries, *map(Path, (*_SYSTEM, *_FILES)), *(own / name for name in _OWN)],
        names_only=[own],
        write=[folder, *map(Path, _WRITABLE)],
    )
