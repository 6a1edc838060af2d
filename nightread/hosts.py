"""Decide which host names and addresses belong to this machine only."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address
_NETWORK_BYTES = 8
"""Number of bytes of an IPv6 address that identify its network. A host may use all addresses of its network, so all
of them count as one host (RFC 4291, 2.5.1)."""


def address_of(host: str) -> Address | None:
    """Read an IP address, without brackets and zone; None if the text is a host name."""
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def host_key(text: str) -> bytes:
    """Return the bytes that identify a host: its IPv4 address, the network (/64) of its IPv6 address, or its name."""
    address = address_of(text)
    if address is None:
        return text.encode()
    return address.packed[:_NETWORK_BYTES] if isinstance(address, IPv6Address) else address.packed


def host_name(text: str) -> str:
    """Return the name of a host for people: `10.1.0.5`, or `2001:db8::/64` for all addresses of this network."""
    address = address_of(text)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 8 * _NETWORK_BYTES), strict=False))
    return text if address is None else str(address)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the host: a loopback address, or a name of RFC 6761, section 6.3."""
    address = address_of(host)
    if address is not None:
        return address.is_loopback
    name = host.lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost")
