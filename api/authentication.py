"""Find the principal of each request: an API key, or everyone on the loopback interface of an API without keys."""

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

    Only invalid keys count against the limit per client address: after too many of them, further invalid keys get
    status 429. Valid keys are accepted all the same.
    """

    def __init__(self, keys: KeyRing, *, address: str) -> None:
        self._keys = keys
        self._is_local = is_loopback(address)
        self._failures = FixedWindowRateLimiter(MemoryStorage())
        self._limit = RateLimitItemPerMinute(_FAILURES_PER_MINUTE)

    async def principal(self, headers: Headers, client: str) -> Principal:
        """Return who sends the request. Raises Problem 401 or 429 for an invalid key, and errors of the database."""
        header = headers.get("authorization")
        if header is None:
            return await self._without_key(headers)
        return await self.of_token(token_of(header), client)

    async def of_token(self, token: str | None, client: str) -> Principal:
        """Return the principal of a key. Raises Problem 401 or 429 for an invalid key, and errors of the database."""
        found = await self._keys.find(token) if token else None
        if found is None:
            raise self._refusal(client)
        return found

    async def of_reference(self, reference: str) -> Principal | None:
        """Return the principal of `Principal.reference`, if its key is active. Raises errors of the database."""
        return await self._keys.referred(reference)

    async def is_in_force(self, principal: Principal) -> bool:
        """Return whether the principal of a long request may still read. Raises errors of the database."""
        if principal == LOCAL:
            return not await self._keys.has_keys()
        return await self._keys.referred(principal.reference) is not None

    async def _without_key(self, headers: Headers) -> Principal:
        """Return LOCAL if no key is needed. Requests through a proxy need one, since they may come from anywhere."""
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
    """Return whether a proxy says that it passes the request on (RFC 7239; RFC 9110, section 7.6.3)."""
    return any(name in _FORWARDING or name.startswith(_FORWARDING_PREFIX) for name in headers)


def token_of(header: str) -> str | None:
    """Return the token of a header `Authorization`: `Bearer TOKEN`, or `Basic` with the token as the password."""
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
