"""Read the parameters of a search that choose a time range: a night, or its begin and end."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, WithJsonSchema

from api.context import ApiContext
from api.problems import Problem
from nightread.errors import UsageFault
from nightread.nights import evening_named

Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


def _iso_time(text: object) -> datetime:
    """Return the time. Unlike pydantic, this takes no number, which would mean seconds since 1970: `since=2026`."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(
            "give a time such as 2026-11-05 or 2026-11-05T18:00:00%2B01:00 (in an address, + is %2B)"
        ) from None


Time = Annotated[datetime, BeforeValidator(_iso_time), WithJsonSchema({"type": "string", "format": "date-time"})]


class Times(BaseModel):
    """The parameters that choose a time range."""

    since: Time | None = Field(None, description="Arrived at or after this time; without a zone: local time.")
    until: Time | None = Field(None, description="Arrived before this time.")
    night: Text | None = Field(
        None, description="Arrived in the night of this date, or, with `last`, in the last night."
    )


def bounds_of(times: Times, context: ApiContext) -> tuple[datetime | None, datetime | None]:
    """Return begin and end in UTC; each is None if it is not given. Raises Problem 422."""
    if times.night is not None and (times.since or times.until):
        raise unprocessable("`night` cannot be combined with `since` or `until`: omit one of them.")
    if times.night is not None:
        return night_bounds(times.night, context)
    utc = context.nights.utc
    try:
        since, until = utc(times.since) if times.since else None, utc(times.until) if times.until else None
    except OverflowError:
        raise unprocessable("The time is outside of the range that nightread supports.") from None
    if since and until and since >= until:
        raise unprocessable("No time is between `since` and `until`: `since` must be the earlier one.")
    return since, until


def night_bounds(night: str, context: ApiContext) -> tuple[datetime, datetime]:
    """Return start and end of a night given as a date or `last`. Raises Problem 422."""
    try:
        return context.nights.bounds(
            context.nights.latest(context.clock()) if night == "last" else evening_named(night, context.nights)
        )
    except (UsageFault, OverflowError):
        raise unprocessable("The night is not valid: give a date such as 2026-11-05, or `last`.") from None


def unprocessable(detail: str) -> Problem:
    """Return problem 422 for an invalid parameter."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
