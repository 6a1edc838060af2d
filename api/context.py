"""Define what all request handlers share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from api.recent_reads import RecentReads
from db.engine import Database
from nightread.clock import Clock, utc_now
from nightread.nights import Nights
from nightread.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiContext:
    """The dependencies of the API, made once at its start (`request.app.state.context`)."""

    settings: Settings
    database: Database
    nights: Nights
    redis_url: str | None = None
    """The URL of Redis contains a password: never log it. It is None if there is no Redis; the dispatcher then finds
    new images by itself, within a second."""
    clock: Clock = utc_now
    on_round: Callable[[], None] = lambda: None
    """The event loop calls this function once a second. If the calls stop, the heartbeat reports that the API hangs."""
    recent_reads: RecentReads = field(default_factory=RecentReads)


async def context_of(request: Request) -> ApiContext:
    """Return the context of the application that serves this request."""
    context: ApiContext = request.app.state.context
    return context


Context = Annotated[ApiContext, Depends(context_of)]
"""The type of a handler's parameter that receives the context."""
