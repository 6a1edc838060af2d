"""Check processors, memory, kernel limits, clock and disk."""

import os
import resource
import shutil
from collections.abc import Iterator
from ctypes.util import find_library
from importlib.metadata import distributions
from pathlib import Path

import psutil

from cli.checks.check import Check
from cli.wording import counted
from nightread.clock import utc_now
from nightread.disk import alarm_bytes
from nightread.errors import UsageFault
from nightread.hardware import gpus, slots
from nightread.nights import nights_of
from nightread.settings import Settings

_GIB = 1024**3
_PROCESS_BYTES = 0.8 * _GIB  # memory of a worker process with TensorFlow and a small network
_ENOUGH_FREE_BYTES = 2 * _GIB
_ENOUGH_FILES = 1024
_ENOUGH_WATCHES = 8192
_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs"})


def check_machine(settings: Settings) -> Iterator[Check]:
    """Check whether this machine is sufficient for the configured number of worker processes."""
    yield _processors(settings)
    yield _gpus(settings)
    yield _memory(settings)
    yield from _disk(settings)
    yield _open_files()
    if _WATCHES.exists():
        yield _watches()
    yield _clock(settings)


def _processors(settings: Settings) -> Check:
    cores, wanted = len(os.sched_getaffinity(0)), slots(settings)
    found = f"{cores} usable, {counted(wanted, 'worker process', 'worker processes')}"
    if wanted > max(cores, len(gpus(settings))):
        return Check.warn("cores", found, "More processes than cores slow each other down: lower NIGHTREAD_WORKERS.")
    return Check.ok("cores", found)


def _gpus(settings: Settings) -> Check:
    found = gpus(settings)
    if settings.device == "gpu" and not found:
        return Check.fail(
            "GPU", "none found", "Install the driver, pass the device into the container, or set NIGHTREAD_DEVICE=auto."
        )
    if found and not _has_gpu_libraries():
        remedy = "Networks run on the CPU: `pip install 'nightread[gpu]'`, or install CUDA and cuDNN."
        return Check.warn("GPU", f"{', '.join(found)}, without the libraries to use it", remedy)
    return Check.ok("GPU", ", ".join(found) if found else "none; the CPU is used")


def _has_gpu_libraries() -> bool:
    """Return whether cuDNN, which TensorFlow needs for a GPU, is installed as a package or in the system."""
    packages = (str(each.metadata["Name"]).lower() for each in distributions())
    return any(name.startswith("nvidia-cudnn") for name in packages) or find_library("cudnn") is not None


def _memory(settings: Settings) -> Check:
    memory = psutil.virtual_memory()
    found = f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free"
    if memory.available < slots(settings) * _PROCESS_BYTES:
        return Check.warn("memory", found, "A worker process takes about 0.8 GiB: lower NIGHTREAD_WORKERS.")
    return Check.ok("memory", found)


def _disk(settings: Settings) -> Iterator[Check]:
    folder = _nearest_existing(settings.state_dir)
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Check.fail(
            "state folder",
            f"{folder} is not writable",
            "Give this user write access, or name another folder with --state.",
        )
        return
    yield Check.ok(
        "state folder", str(settings.state_dir) if folder == settings.state_dir else f"will be created in {folder}"
    )
    free = shutil.disk_usage(folder).free
    found = f"{free / _GIB:.1f} GiB free"
    if free < settings.disk_reserve_bytes:
        yield Check.warn(
            "disk", found, "Less than NIGHTREAD_DISK_RESERVE_BYTES: all work is paused until disk space is freed."
        )
    elif free < alarm_bytes(settings.disk_reserve_bytes):
        yield Check.warn(
            "disk",
            found,
            "Less than four times NIGHTREAD_DISK_RESERVE_BYTES: free disk space before all work is paused.",
        )
    elif settings.database_url is None and free < _ENOUGH_FREE_BYTES:
        yield Check.warn("disk", found, "The database of a million images takes about 2 GiB: free disk space.")
    else:
        yield Check.ok("disk", found)
    kind = _file_system(folder)
    if settings.database_url is None and kind in _REMOTE:
        yield Check.fail(
            "file system",
            f"the state folder is on {kind}",
            "SQLite's locks do not work on a network file system: use a local disk or PostgreSQL.",
        )
    else:
        yield Check.ok("file system", kind)


def _nearest_existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _file_system(folder: Path) -> str:
    """Return the type of the folder's file system."""
    resolved = folder.resolve()
    mounts = [mount for mount in psutil.disk_partitions(all=True) if resolved.is_relative_to(mount.mountpoint)]
    return max(mounts, key=lambda mount: len(mount.mountpoint)).fstype if mounts else "unknown"


def _open_files() -> Check:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _ENOUGH_FILES:
        return Check.warn("open files", str(soft), f"Raise the limit: `ulimit -n {_ENOUGH_FILES}`.")
    return Check.ok("open files", "unlimited" if soft == resource.RLIM_INFINITY else str(soft))


def _watches() -> Check:
    watches = int(_WATCHES.read_text())
    if watches < _ENOUGH_WATCHES:
        remedy = (
            "When all watches are in use, only scans find new files in the other folders: "
            "run `sysctl fs.inotify.max_user_watches=65536`."
        )
        return Check.warn("folder watches", str(watches), remedy)
    return Check.ok("folder watches", str(watches))


def _clock(settings: Settings) -> Check:
    try:
        nights = nights_of(settings)
    except UsageFault as fault:
        return Check.fail("time zone", settings.time_zone or "", str(fault))
    now = nights.local(utc_now())
    name = settings.time_zone or f"{now.tzname()}, from this machine"
    return Check.ok("time zone", f"{name}; now {now:%H:%M}, nights {nights.start:%H:%M} to {nights.end:%H:%M}")
