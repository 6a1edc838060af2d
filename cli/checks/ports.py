"""Check that the ports on which nightread listens are free, or that nightread itself has them."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import psutil

from cli.checks.check import Check
from nightread.settings import Settings
from nightread.sources import ReceiverSource

_LOWEST = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ListeningPort:
    """A part that listens on a port."""

    name: str
    address: str
    port: int
    setting: str
    """What to change if the port is taken."""


def listeners(settings: Settings) -> Iterator[ListeningPort]:
    """Yield the parts that listen on a fixed port. A part with port 0 takes any free port, or does not run."""
    for source in settings.sources:
        if isinstance(source, ReceiverSource) and source.port:
            name = f"receiver {source.name}"
            yield ListeningPort(
                name=name, address=source.address, port=source.port, setting=f"`port` of source {source.name}"
            )
    if settings.api_port:
        address, port = settings.api_address, settings.api_port
        yield ListeningPort(name="api", address=address, port=port, setting="NIGHTREAD_API_PORT (0: no API here)")
    if settings.flower_port:
        address, port = settings.flower_address, settings.flower_port
        yield ListeningPort(
            name="flower", address=address, port=port, setting="NIGHTREAD_FLOWER_PORT (0: no Flower here)"
        )


def check_ports(settings: Settings, holder: Callable[[int], psutil.Process | None] | None = None) -> Iterator[Check]:
    """Check each port. `holder` finds the process that listens on a port."""
    seen: dict[int, str] = {}
    for listener in listeners(settings):
        name = f"port {listener.port}"
        if other := seen.get(listener.port):
            found = f"for {listener.name} and for {other}"
            yield Check.fail(name, found, f"Only one of them can start: change {listener.setting}.")
            continue
        seen[listener.port] = listener.name
        yield _check(name, listener, holder or _holder)


def _check(name: str, listener: ListeningPort, holder: Callable[[int], psutil.Process | None]) -> Check:
    try:
        family = socket.AF_INET6 if ":" in listener.address else socket.AF_INET
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections do not count
            probe.bind((listener.address, listener.port))
    except OSError as error:
        return _explained(name, listener, error, holder)
    return Check.ok(name, f"free, for {listener.name}")


def _explained(
    name: str, listener: ListeningPort, error: OSError, holder: Callable[[int], psutil.Process | None]
) -> Check:
    if error.errno == errno.EADDRINUSE:
        return _taken(name, listener, holder(listener.port))
    if error.errno == errno.EACCES and listener.port < _LOWEST:
        remedy = "Give the service the right (`nightread systemd --system` does), or use a port from 1024 on."
        return Check.fail(name, f"{listener.name} may not open a port below {_LOWEST} as this user", remedy)
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        remedy = f"Correct the address of {listener.name}: 127.0.0.1 for this host only, 0.0.0.0 for all networks."
        return Check.fail(name, f"this host has no address {listener.address}", remedy)
    reason = os.strerror(error.errno or 0)
    return Check.fail(name, f"{listener.name} cannot listen ({reason})", f"Change {listener.setting}.")


def _taken(name: str, listener: ListeningPort, process: psutil.Process | None) -> Check:
    if process is None:
        remedy = (
            f"If this process is {listener.name}, nothing is wrong. Otherwise stop it, or change {listener.setting}."
        )
        return Check.warn(name, f"for {listener.name}: in use by a process of another user", remedy)
    try:
        command, title = process.cmdline(), process.name()
    except psutil.Error:
        command, title = [], "a process"
    if any(word.rpartition("/")[2] == "nightread" or word.split(".")[0] == "cli" for word in command):
        return Check.ok(name, f"in use by nightread (process {process.pid}), for {listener.name}")
    found = f"for {listener.name}: in use by {title} (process {process.pid})"
    return Check.fail(name, found, f"Stop that process, or change {listener.setting}.")


def _holder(port: int) -> psutil.Process | None:
    """Return the process that listens on the port; None if this user may not see it."""
    try:
        found = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        pid = next((each.pid for each in found if each.laddr and each.laddr.port == port and each.pid), None)
        return None if pid is None else psutil.Process(pid)
    except psutil.Error:
        return None
