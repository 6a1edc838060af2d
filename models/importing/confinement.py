"""Drop the privileges of a process before it opens an untrusted file."""

import ctypes
import os
import resource
import site
import sys
from dataclasses import dataclass
from pathlib import Path

from models.importing.landlock import restrict_files

_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_GIB = 1024**3
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/opt", "/nix/store")
_OWN = ("models", "imaging", "nightread")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceLimits:
    """The resources that the process may use."""

    cpu_seconds: int = 600
    file_bytes: int = 8 * _GIB
    data_bytes: int = 16 * _GIB
    """Memory; at most three quarters of the machine's memory are allowed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Confinement:
    """The restrictions that are active; some kernels and containers do not support all of them."""

    limits: bool
    no_new_privileges: bool
    no_network: bool
    files: bool
    """Whether the process reads only Python, its libraries and its folder, writes only there, and starts no program."""


def confine(folder: Path, limits: ResourceLimits) -> Confinement:
    """Restrict this process to `folder`, its libraries and limited resources. Call it before any thread is started."""
    if sys.platform != "linux":
        limited = _limit(limits)
        return Confinement(limits=limited, no_new_privileges=False, no_network=False, files=False)
    # Landlock comes last, because the others write to files below /proc.
    return Confinement(
        limits=_limit(limits),
        no_new_privileges=_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0,
        no_network=_leave_network(),
        files=_restrict_files(folder),
    )


def _limit(limits: ResourceLimits) -> bool:
    for kind, wanted in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_DATA, min(limits.data_bytes, _memory() * 3 // 4)),
    ):
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))
    return True


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _leave_network() -> bool:
    """Move this process to a network namespace without any interface. Returns False if that is forbidden."""
    user, group = os.getuid(), os.getgid()
    if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    # Map the user and the group into the new user namespace; without a mapping they cannot create files.
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    return True


def _restrict_files(folder: Path) -> bool:
    own = Path(__file__).parents[2]
    libraries = {Path(sys.prefix), Path(sys.base_prefix), *map(Path, site.getsitepackages())}
    return restrict_files(
        read=[*libraries, *map(Path, _SYSTEM), *(own / name for name in _OWN)],
        names_only=[own],
        write=[folder, Path("/dev")],
    )
