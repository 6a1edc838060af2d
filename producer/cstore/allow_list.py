"""Check which callers may send to a receiver."""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from nightread.errors import UsageFault
from nightread.sources import Caller


class Diagnostic(IntEnum):
    """Reasons for which the service user rejects an association (DICOM PS3.8, table 9-21)."""

    NO_REASON_GIVEN = 1
    CALLING_AE_TITLE_NOT_RECOGNIZED = 3
    CALLED_AE_TITLE_NOT_RECOGNIZED = 7


class AllowList:
    """The callers that may send, by AE title and address; an empty list allows every caller."""

    def __init__(self, callers: Sequence[Caller]) -> None:
        """Raise UsageFault for an entry whose address is neither an IP address nor a network."""
        self._allowed = [(caller.ae_title, _network(caller.address), caller.trust) for caller in callers]

    def rejection_reason(self, ae_title: str, address: str) -> Diagnostic | None:
        """Return why this caller may not send, or None if it may.

        A caller with an unknown address gets NO_REASON_GIVEN, so that it learns nothing about the allowed AE titles.
        """
        if not self._allowed:
            return None
        titles = self._titles(address)
        if not titles:
            return Diagnostic.NO_REASON_GIVEN
        if None in titles or ae_title in titles:
            return None
        return Diagnostic.CALLING_AE_TITLE_NOT_RECOGNIZED

    def is_listed(self, address: str) -> bool:
        """Return whether any caller may send from this address."""
        return not self._allowed or bool(self._titles(address))

    def trust_group(self, ae_title: str, address: str) -> str | None:
        """Return the trust group of the first entry that allows this caller and names a group, else None."""
        groups = (trust for title, trust in self._entries(address) if title in (None, ae_title) and trust)
        return next(groups, None)

    def group_now(self, ae_title: str, address: str, before: str | None) -> str | None:
        """Return the present trust group of a caller that sent images; `before` if the caller may no longer send."""
        is_allowed = self.rejection_reason(ae_title, address) is None
        return self.trust_group(ae_title, address) if is_allowed else before

    def _titles(self, address: str) -> list[str | None]:
        """Return the AE titles that may send from this address; None stands for any title."""
        return [title for title, _ in self._entries(address)]

    def _entries(self, address: str) -> Iterator[tuple[str | None, str | None]]:
        """Yield AE title and trust group of the entries for this address."""
        if not self._allowed:
            return
        caller = ip_address(address.partition("%")[0])
        if isinstance(caller, IPv6Address) and caller.ipv4_mapped:
            caller = caller.ipv4_mapped
        for title, network, trust in self._allowed:
            if network is None or caller in network:
                yield title, trust


def _network(address: str | None) -> IPv4Network | IPv6Network | None:
    if address is None:
        return None
    try:
        return ip_network(address, strict=False)
    except ValueError:
        raise UsageFault(
            f"In the receiver's `callers`, {address} is neither an IP address nor a network such as 10.1.0.0/16."
        ) from None
