"""Find the principal of each request, by its API key. On a loopback interface, an API without keys accepts everyone."""

import base64
import binascii
from http import HTTPStatus

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.datastructures import Headers

from api.access import ANONYMOUS, CHALLENGE, LOCAL, Principal
from api.keys import KeyRing
from api.problems import Problem
from nightread.hosts import is_loopback
from producer.spool.quota import sender_of

_FAILURES_PER_MINUTE = 10
_FORWARDING = ("forwarded", "via", "x-real-ip")
_FORWARDING_PREFIX = "x-forwarded-"
_WRONG = "The key is not valid: it is unknown, expired or revoked."


class Authentication:
    """Checks the API key of a request.

    After 10 invalid keys in a minute from one client address, further invalid keys get status 429. Valid keys from this
    address are still accepted.
    """

    def __init__(self, keys: KeyRing, *, address: str) -> None:
        self._keys = keys
        self._is_local = is_loopback(address)
        self._failures = FixedWindowRateLimiter(MemoryStorage())
        self._limit = RateLimitItemPerMinute(_FAILURES_PER_MINUTE)

    async def principal(self, headers: Headers, client: str) -> Principal:
        """Return the principal of a request. Raises Problem 401 or 429 for an invalid key, and database errors."""
        header = headers.get("authorization")
        if header is None:
            return await self._without_key(headers)
        return await self.of_token(token_of(header), client)

    async def of_token(self, token: str | None, client: str) -> Principal:
        """Return the principal of a key. Raises Problem 401 or 429 for an invalid key, and database errors."""
        found = await self._keys.find(token) if token else None
        if found is None:
            raise self._refusal(client)
        return found

    async def of_reference(self, reference: str) -> Principal | None:
        """Return the principal with this Principal.reference; None if its key is not active. Raises database errors."""
        return await self._keys.referred(reference)

    async def is_in_force(self, principal: Principal) -> bool:
        """Return whether the key of a long request is still active. Raises database errors.

        A request that was accepted without a key may go on until the first key is made.
        """
        if principal == LOCAL:
            return not await self._keys.has_keys()
        return await self._keys.referred(principal.reference) is not None

    async def _without_key(self, headers: Headers) -> Principal:
        """Return LOCAL if no key is needed, else ANONYMOUS.

        A request through a proxy needs a key, because its client may be on any host.
        """
        if not self._is_local or _is_forwarded(headers) or await self._keys.has_keys():
            return ANONYMOUS
        return LOCAL

    def _refusal(self, client: str) -> Problem:
        if self._failures.hit(self._limit, sender_of(client)):
            return Problem(HTTPStatus.UNAUTHORIZED, _WRONG, headers={"WWW-Authenticate": CHALLENGE})
        return Problem(
            HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong keys came from this address.", headers={"Retry-After": "60"}
        )


def _is_forwarded(headers: Headers) -> bool:
    """Return whether the headers say that a proxy forwarded the request (RFC 7239; RFC 9110, section 7.6.3)."""
    return any(name in _FORWARDING or name.startswith(_FORWARDING_PREFIX) for name in headers)


def token_of(header: str) -> str | None:
    """Return the token in a header `Authorization`, which is `Bearer TOKEN`, or `Basic` with the token as password."""
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    match scheme.lower():
        case "bearer":
            return value or None
        case "basic":
            return _password(value)
    return None


def _password(value: str) -> str | None:
    try:
        text = base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    return text.partition(":")[2] or None
