"""Find the principal of a token, in a copy of the table of keys that is read again every two seconds."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from hmac import compare_digest

from sqlalchemy.exc import SQLAlchemyError

from api.access import Principal
from api.whole_step import whole_step
from db import error_messages, ledger, queries
from db.engine import Database
from nightread.api_keys import Permission, token_hash
from nightread.clock import Clock
from nightread.errors import StopWork

log = logging.getLogger(__name__)

_FRESH_SECONDS = 2.0
"""Age at which the copy of the keys is read again: a revoked key is refused after at most this time."""
_OUTAGE_SECONDS = 60.0
"""Time for which the copy of the keys is used while the database is unavailable: a short outage refuses no client."""


FROM_SETTINGS = Principal(name="settings", permissions=frozenset(Permission))
"""The principal of the key in the setting api_key."""


class KeyRing:
    """Caches the API keys of the database. It reads them again before use if the cache is older than two seconds."""

    def __init__(
        self,
        database: Database,
        *,
        token: str | None = None,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`token` is the key in the setting api_key, which has all permissions."""
        self._database = database
        self._own_hash = token_hash(token) if token else None
        self._clock = clock
        self._monotonic = monotonic
        self._keys: list[queries.ApiKey] = []
        self._loaded_at = self._tried_at = float("-inf")
        self._error: SQLAlchemyError | StopWork | None = None
        self._loading = asyncio.Lock()
        self._used: dict[int, datetime] = {}

    async def find(self, token: str) -> Principal | None:
        """Return the principal of an active key, else None. Raises database errors."""
        wanted, found = token_hash(token), None
        if self._own_hash is not None and compare_digest(self._own_hash, wanted):
            return FROM_SETTINGS
        await self._refresh()
        for key in self._keys:  # compares with all keys, so that the duration does not reveal which of them matches
            if compare_digest(key.token_hash, wanted):
                found = key
        return self._principal(found)

    async def referred(self, reference: str) -> Principal | None:
        """Return the principal with this Principal.reference; None if its key is not active. Raises database errors."""
        if self._own_hash is not None and reference == FROM_SETTINGS.reference:
            return FROM_SETTINGS
        await self._refresh()
        return self._principal(next((key for key in self._keys if str(key.id) == reference), None))

    def _principal(self, key: queries.ApiKey | None) -> Principal | None:
        if key is None or not key.is_in_force(self._clock()):
            return None
        self._used[key.id] = self._clock()
        permissions = frozenset(Permission(scope) for scope in key.scopes)
        return Principal(name=key.name, permissions=permissions, key_id=key.id)

    async def has_keys(self) -> bool:
        """Return whether a key was ever made. Revoked keys count: revoking the last key must not open the API."""
        if self._own_hash is not None:
            return True
        await self._refresh()
        return bool(self._keys)

    def store_uses(self) -> None:
        """Store when keys were used since the last call. Raises database errors."""
        used, self._used = self._used, {}
        if used:
            ledger.note_api_key_uses(self._database, used)

    async def _refresh(self) -> None:
        """Read the keys again if the last attempt is older than two seconds. Raises the error of the last attempt.

        Requests within these two seconds get the same error without a new attempt. Otherwise they would wait for a
        connection timeout each, one after the other.
        """
        if not self._is_fresh():
            async with self._loading:
                if not self._is_fresh():
                    await self._load()
        if self._error is not None:
            raise self._error.with_traceback(None)  # the traceback would grow with each request

    async def _load(self) -> None:
        began = self._monotonic()
        try:
            self._keys = await whole_step(partial(queries.api_keys, self._database))
        except (SQLAlchemyError, StopWork) as error:
            self._tried_at = self._monotonic()  # not `began`, since a failed attempt may take longer than two seconds
            is_outage = isinstance(error, SQLAlchemyError) and began - self._loaded_at <= _OUTAGE_SECONDS
            self._error = None if is_outage else error
            if isinstance(error, SQLAlchemyError):
                log.warning("the keys could not be read again: %s", error_messages.describe(error))
        else:
            self._error = None
            self._loaded_at = self._tried_at = began

    def _is_fresh(self) -> bool:
        return self._monotonic() - self._tried_at < _FRESH_SECONDS
