"""Define what keys of the HTTP API permit, and make their tokens."""

import secrets
from enum import StrEnum
from hashlib import sha256

PREFIX = "nr_"
"""First characters of each token, by which scanners of source code and logs can find a leaked token."""
_TOKEN_BYTES = 32


class Permission(StrEnum):
    """A scope of a key: something that the key permits."""

    READ = "read"
    SUBMIT = "submit"
    OPERATE = "operate"


def new_token() -> str:
    """Return a token with 256 random bits."""
    return PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def token_hash(token: str) -> str:
    """Return what the database stores for a token.

    A slow hash, as for passwords, would only cost time: nobody can try 2^256 tokens.
    """
    return sha256(token.encode()).hexdigest()
