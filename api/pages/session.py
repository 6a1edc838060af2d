"""Keep a browser signed in by a signed cookie, and make the tokens that protect its forms against forged requests."""

import base64
import binascii
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Protocol

from api.access import Principal

COOKIE = "nightread_session"
LIFETIME = timedelta(hours=12)
"""Lifetime of a cookie, long enough for a shift. After it the person signs in again."""
_LONGEST = 1000


class Keys(Protocol):
    """The interface by which the pages look up API keys."""

    async def verify(self, key: str, client: str) -> Principal | None:
        """Return the principal of an active key, else None; `client` is the address of the browser."""

    async def referred(self, reference: str) -> Principal | None:
        """Return the principal with this `Principal.reference`; None if its key is revoked or expired."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """The content of the cookie. A browser that is not signed in has a cookie too, for the tokens of its forms."""

    key: str
    """The reference of the key (`Principal.reference`); empty if the browser is not signed in."""
    nonce: str
    expires: int
    """Seconds since 1970."""


class SessionSigner:
    """Writes and reads cookies. Sessions are not stored.

    Each request looks up the key of its session, so revoking a key ends its sessions.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def new(self, key: str, now: datetime) -> Session:
        """Return a session for this key; an empty `key` means that the browser is not signed in.

        A random nonce changes the cookie and the tokens of forms at each sign-in, so that a cookie from before the
        sign-in is useless to an attacker (session fixation).
        """
        expires = int((now + LIFETIME).timestamp())
        return Session(key=key, nonce=secrets.token_urlsafe(16), expires=expires)

    def write(self, session: Session) -> str:
        """Return the value of the cookie."""
        content = json.dumps([session.key, session.nonce, session.expires]).encode()
        return f"{_encode(content)}.{_encode(self._sign(b'cookie', content))}"

    def read(self, cookie: str | None, now: datetime) -> Session | None:
        """Return the session of a cookie; None if it is absent, forged or expired."""
        content, _, signature = (cookie or "")[:_LONGEST].partition(".")
        try:
            decoded, signed = _decode(content), _decode(signature)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(signed, self._sign(b"cookie", decoded)):
            return None
        key, nonce, expires = json.loads(decoded)
        return Session(key=key, nonce=nonce, expires=expires) if expires > now.timestamp() else None

    def csrf_token(self, session: Session) -> str:
        """Return the token that each form of this session contains."""
        return _encode(self._sign(b"csrf", f"{session.key} {session.nonce}".encode()))

    def is_csrf_token(self, session: Session, token: str) -> bool:
        """Return whether a form came from a page of this session."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.csrf_token(session).encode())

    def _sign(self, purpose: bytes, content: bytes) -> bytes:
        return hmac.digest(self._secret, purpose + b"\0" + content, sha256)


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
