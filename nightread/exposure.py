"""Find settings that admit unknown senders, or send secrets unencrypted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from urllib.parse import urlsplit

from nightread.hosts import is_loopback
from nightread.settings import Settings
from nightread.sources import Caller, Destination, FolderSource, ReceiverSource, Source, StowDestination, Tls
from nightread.stores import Store

_EVERYBODY = (
    tuple(map(ip_network, ("0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3"))),
    (ip_network("2000::/3"),),
)
"""The networks of all addresses that a host may have. Other addresses are for multicast, or reserved (RFC 5771,
RFC 4291)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """One setting that admits unknown senders, or sends secrets unencrypted."""

    where: str
    """The entry of the settings, such as `source ct`."""
    found: str
    remedy: str

    @property
    def line(self) -> str:
        """Return the problem as one line: the entry of the settings, what was found, and the remedy."""
        return f"{self.where}: {self.found}. {self.remedy}"


def exposures(settings: Settings) -> Iterator[Exposure]:
    """Yield each problem once, in the order of the settings."""
    for entry in (*settings.sources, *settings.destinations):
        yield from exposures_of(entry)
    if settings.api_port and not is_loopback(settings.api_address) and settings.api_tls is None:
        yield Exposure(
            where="api",
            found=f"keys and results are sent over http on {settings.api_address}: everyone on the way can read them",
            remedy="Set `api_tls`, or put a proxy with TLS in front of the API and set `api_address` to 127.0.0.1.",
        )


def exposures_of(entry: Source | Destination) -> Iterator[Exposure]:
    """Yield the problems of one source or destination."""
    if isinstance(entry, ReceiverSource):
        yield from _of_receiver(entry)
    elif isinstance(entry, Store):
        yield from _of_login(f"source {entry.name}", entry)
    elif not isinstance(entry, FolderSource):
        yield from _of_login(f"destination {entry.name}", entry)


def _of_receiver(receiver: ReceiverSource) -> Iterator[Exposure]:
    where, tls = f"source {receiver.name}", receiver.tls
    # A `ca` without `require_client` is reported below.
    asks_nobody = tls is None or (tls.ca is None and not tls.require_client)
    if not is_loopback(receiver.address) and asks_nobody and _admits_all(receiver.callers):
        place = f"{receiver.address or 'any address'} port {receiver.port}"
        yield Exposure(
            where=where,
            found=f"everyone who reaches {place} may send images" + ("" if tls is None else " without a certificate"),
            remedy="List the addresses of senders under `callers`, or set `tls` with `ca` and `require_client`.",
        )
    if tls is None:
        return
    if tls.ca is not None and not tls.require_client:
        yield Exposure(
            where=where,
            found="`ca` is set without `require_client`, so no caller has to show a certificate",
            remedy="Set `require_client = true`, or remove `ca`.",
        )
    if tls.require_client and tls.ca is None:
        yield Exposure(
            where=where,
            found="`require_client` is set without `ca`, so a certificate of any public authority is accepted",
            remedy="Set `ca` to the authority of this site.",
        )


def _of_login(where: str, entry: Store | Destination) -> Iterator[Exposure]:
    """Yield the problems of a connection that nightread opens."""
    if isinstance(entry, Store | StowDestination) and entry.login is not None and _is_open(entry.url):
        yield Exposure(
            where=where,
            found="the login is sent over http, where everyone on the way can read it",
            remedy="Use an https address.",
        )
    if _demands_client(entry.tls):
        yield Exposure(
            where=where,
            found="`require_client` has no effect, because nightread is the client here",
            remedy="Remove it; `certificate` and `key` are what nightread shows to the server.",
        )


def _admits_all(callers: tuple[Caller, ...]) -> bool:
    """Return whether the list is empty, or its addresses include everybody. AE titles count as a restriction.

    Several entries together may include everybody, such as the two halves 0.0.0.0/1 and 128.0.0.0/1.
    """
    networks = [network for caller in callers if caller.ae_title is None and (network := _network(caller.address))]
    listed: list[IPv4Network | IPv6Network] = []
    listed += collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    listed += collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    return not callers or any(all(_is_within(part, listed) for part in everybody) for everybody in _EVERYBODY)


def _is_within(part: IPv4Network | IPv6Network, listed: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(part.version == network.version and part.subnet_of(network) for network in listed)  # type: ignore[arg-type]


def _network(address: str | None) -> IPv4Network | IPv6Network | None:
    try:
        return None if address is None else ip_network(address, strict=False)
    except ValueError:
        return None


def _is_open(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _demands_client(tls: Tls | None) -> bool:
    return tls is not None and tls.require_client
