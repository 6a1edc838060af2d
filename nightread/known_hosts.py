"""Decide which Host headers a server accepts.

This stops DNS rebinding, by which a page of another site reaches the server under a host name of that site.
"""

import re
from collections.abc import Collection

from nightread.hosts import address_of, is_loopback

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")


def is_known_host(headers: Collection[str], address: str, names: Collection[str]) -> bool:
    """Return whether the request has exactly one Host header, and it names this server.

    The server accepts `address`, on which it listens, its host `names`, and the names and addresses of the loopback
    interface. If other hosts can reach `address`, it accepts every IP address too: DNS rebinding needs a host name,
    because a browser that opens an IP address connects to this address and no other.
    """
    if len(headers) != 1:
        return False
    (header,) = headers
    found = _HOST.fullmatch(header)
    if found is None:
        return False
    host = found[1].strip("[]").lower().removesuffix(".")
    if is_loopback(host) or host in {name.lower().strip("[]").removesuffix(".") for name in (address, *names)}:
        return True
    return address_of(host) is not None and not is_loopback(address)
