"""Describe the systemd units of the services of a production site."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nightread.settings import Settings
from nightread.sources import FolderSource, ReceiverSource
from nightread.stores import Store

Scope = Literal["system", "user"]
_LOW_PORT = 1024
UP = "up"
_STOP_SECONDS = 130
"""Time in which a worker finishes its batches; the same value as in docker-compose.yml."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """One service of a site."""

    name: str
    description: str
    arguments: tuple[str, ...]
    ports: tuple[int, ...] = ()
    needs_gpu: bool = False
    writes: tuple[Path, ...] = ()
    """Folders that the service writes to, besides the folders of the settings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the units run, and as which user."""

    scope: Scope
    program: Path
    """The command `nightread`."""
    config: Path | None
    user: str
    """User that runs the services of the system."""
    backup_to: Path | None = None
    """Folder of the daily backups; None means the folder `backups` of the state folder."""


def parts_of(settings: Settings) -> tuple[list[Unit], dict[str, str]]:
    """Return the services that these settings need and, by name, the reason why each other service is left out."""
    receivers = [source for source in settings.sources if isinstance(source, ReceiverSource)]
    wanted = {
        "watch": any(isinstance(source, FolderSource) for source in settings.sources) or "no folder in `sources`",
        "receive": bool(receivers) or "no receiver in `sources`",
        "poll": any(isinstance(source, Store) for source in settings.sources) or "no store in `sources`",
        "send-results": bool(settings.destinations) or "no `destinations`",
        "api": bool(settings.api_port) or "api_port is 0",
        "flower": bool(settings.flower_port) or "flower_port is 0",
    }
    parts = [
        Unit(name="watch", description="registers what arrives in folders", arguments=("watch",)),
        Unit(
            name="receive",
            description="receives images by C-STORE",
            arguments=("receive",),
            ports=tuple(receiver.port for receiver in receivers),
        ),
        Unit(name="poll", description="asks stores for new images", arguments=("poll",)),
        Unit(name="dispatch", description="forms batches", arguments=("dispatch",)),
        Unit(name="worker", description="analyses images", arguments=("worker",), needs_gpu=settings.device != "cpu"),
        Unit(name="send-results", description="sends reports", arguments=("send-results", "--follow")),
        Unit(name="watchdog", description="raises alarms", arguments=("watchdog",)),
        Unit(name="api", description="serves the HTTP API", arguments=("api",), ports=(settings.api_port,)),
        Unit(name="flower", description="shows workers and batches", arguments=("flower",)),
    ]
    left_out = {name: reason for name, reason in wanted.items() if isinstance(reason, str)}
    return [part for part in parts if part.name not in left_out], left_out


def whole_of(settings: Settings) -> Unit:
    """Return `nightread up` as one service, which needs neither Redis nor PostgreSQL."""
    receivers = tuple(source.port for source in settings.sources if isinstance(source, ReceiverSource))
    return Unit(
        name=UP,
        description="the whole pipeline on this host",
        arguments=("up",),
        ports=(*receivers, settings.api_port, settings.flower_port),
        needs_gpu=settings.device != "cpu",
    )


def units(settings: Settings, parts: Sequence[Unit], place: Place) -> dict[str, str]:
    """Return the text of each unit by its file name."""
    services = [f"nightread-{part.name}.service" for part in parts]
    found = {"nightread.target": _target(services, place)}
    if not any(part.name == UP for part in parts):  # `up` upgrades the schema itself
        lifetime = _ONCE | {"Restart": "on-failure"} | _PAUSE
        found["nightread-migrate.service"] = _service(settings, place, _MIGRATE, lifetime)
    for part in parts:
        found[f"nightread-{part.name}.service"] = _service(settings, place, part, _restarts(part))
    if any(part.name in ("dispatch", UP) for part in parts):  # one backup per site, on the host of the dispatcher
        found["nightread-backup.service"] = _service(settings, place, _backup(place), _ONCE)
        found["nightread-backup.timer"] = _TIMER
    return found


_MIGRATE = Unit(name="migrate", description="upgrades the schema of the database", arguments=("db", "upgrade"))
_BACKUPS_KEPT = 7
_ONCE = {"Type": "oneshot"}
_PAUSE = {"RestartSec": "10"}
"""Pause in seconds before a restart. With systemd's default, 0.1 s, a service that has no database would use a core."""
_TIMER = """[Unit]
Description=nightread: a backup each day, outside of the night

[Timer]
OnCalendar=*-*-* 12:00
Persistent=yes

[Install]
WantedBy=timers.target
"""
_PRIVATE = {"UMask": "0077", "LimitCORE": "0", "LimitNOFILE": "65536", "NoNewPrivileges": "yes"}
_FILTERS = {
    "LockPersonality": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
    "SystemCallFilter": "@system-service",
}
"""Filters of system calls; systemd can set them for services of a user too."""
_SYSTEM_ONLY = {
    "PrivateTmp": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "read-only",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
}
"""Restrictions that need rights of root, so that only the system's systemd can set them."""


def _backup(place: Place) -> Unit:
    to = () if place.backup_to is None else ("--to", str(place.backup_to))
    return Unit(
        name="backup",
        description="writes a backup",
        arguments=("backup", "--keep", str(_BACKUPS_KEPT), *to),
        writes=() if place.backup_to is None else (place.backup_to,),
    )


def _target(services: Sequence[str], place: Place) -> str:
    wanted = "\n".join(f"Wants={name}" for name in services)
    return f"""[Unit]
Description=nightread: all services of this host
{wanted}

[Install]
WantedBy={"multi-user.target" if place.scope == "system" else "default.target"}
"""


def _service(settings: Settings, place: Place, part: Unit, lifetime: Mapping[str, str]) -> str:
    command = " ".join(quoted(argument).replace("$", "$$") for argument in (str(place.program), *part.arguments))
    lines = [
        "[Unit]",
        f"Description=nightread: {part.description}",
        *_order(place, part),
        "# Never give up: the database or Redis may be unavailable for hours.",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        f"ExecStart={command}",
        *((f"User={place.user}",) if place.scope == "system" else ()),
        *_lines(lifetime),
        *_environment(settings, place),
        *_lines(_PRIVATE | _FILTERS | (_system(settings, part) if place.scope == "system" else {})),
    ]
    return "\n".join(lines) + "\n"


def _order(place: Place, part: Unit) -> Iterator[str]:
    """Yield the lines of a unit about dependencies and order.

    They have `Wants`, because systemd never retries a service whose `Requires` failed.
    """
    if place.scope == "system":
        yield "Wants=network-online.target"
        yield "After=network-online.target remote-fs.target time-sync.target"
        yield "After=postgresql.service redis-server.service redis.service valkey.service"
    if part.name not in ("migrate", "backup"):
        if part.name != UP:
            yield "Wants=nightread-migrate.service"
            yield "After=nightread-migrate.service"
        yield "PartOf=nightread.target"


def _restarts(part: Unit) -> dict[str, str]:
    keys = {"Type": "exec", "Restart": "always"} | _PAUSE
    if part.name == UP:
        # The socket of the embedded Redis is in the temporary folder, and other commands must find it there.
        own_folder = {
            "RuntimeDirectory": "nightread",
            "RuntimeDirectoryMode": "0700",
            "Environment": "TMPDIR=%t/nightread",
        }
        return keys | own_folder | {"KillMode": "mixed", "OOMPolicy": "continue"}
    if part.name != "worker":
        return keys | {"OOMPolicy": "continue"} if part.name == "api" else keys
    # SIGTERM goes to the parent only, which lets its child processes finish. OOMPolicy: if the kernel kills one child
    # process for its memory, the service continues.
    return keys | {"KillMode": "mixed", "TimeoutStopSec": str(_STOP_SECONDS), "OOMPolicy": "continue"}


def _environment(settings: Settings, place: Place) -> Iterator[str]:
    if "state_dir" in settings.model_fields_set:
        yield f"Environment={quoted(f'NIGHTREAD_STATE_DIR={settings.state_dir}')}"
    else:
        yield "StateDirectory=nightread"
        yield "StateDirectoryMode=0700"
        yield "Environment=NIGHTREAD_STATE_DIR=%S/nightread"
    if place.config is not None:
        yield f"Environment={quoted(f'NIGHTREAD_CONFIG={place.config.absolute()}')}"
    yield "# Secrets: one NIGHTREAD_...=value per line, file mode 0600. Without secrets the file may be missing."
    yield "EnvironmentFile=-%E/nightread/secrets.env"


def _system(settings: Settings, part: Unit) -> dict[str, str]:
    low = any(0 < port < _LOW_PORT for port in part.ports)
    capability = "CAP_NET_BIND_SERVICE" if low else ""
    keys = _SYSTEM_ONLY | {"AmbientCapabilities": capability, "CapabilityBoundingSet": capability}
    if not part.needs_gpu:
        keys["PrivateDevices"] = "yes"
    own = (settings.state_dir,) if "state_dir" in settings.model_fields_set else ()
    spool = () if settings.spool_dir is None else (settings.spool_dir,)
    if written := (*own, *spool, *part.writes):
        keys["ReadWritePaths"] = " ".join(quoted(f"-{path}") for path in written)
    return keys


def _lines(keys: Mapping[str, str]) -> Iterator[str]:
    return (f"{name}={value}" for name, value in keys.items())


def quoted(text: str) -> str:
    """Return a word as systemd.syntax(7) writes it: `%` is doubled, and a word with special characters is quoted."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    is_plain = all(sign.isalnum() or sign in "-_./:=%@,+$" for sign in escaped)
    return escaped if is_plain else f'"{escaped}"'
