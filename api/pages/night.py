"""Serve the night page."""

from datetime import date, timedelta
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import Response

from api.context import ApiContext, Context
from api.pages.night_content import NightContent, night_content
from api.pages.page_route import page_router
from api.pages.page_user import PageProblem, PageUser, Reader, page, redirect
from api.pages.period import Period, current_periods, day_of, night_of
from db import queries

router = page_router()
_DAY = timedelta(days=1)
_SHORTEST_REFRESH_SECONDS = 5


@router.get("/")
def latest(request: Request, context: Context, user: Reader) -> Response:
    """Show the current or last night, or the day after it if only this day has arrivals."""
    night, day = current_periods(context.nights, context.clock())
    if day and not _has_arrivals(context, night) and _has_arrivals(context, day):
        return _page(request, context, user, day)
    return _page(request, context, user, night)


@router.get("/nights")
def chosen(date: str = "") -> Response:
    """Redirect to the night of the date that the form sent."""
    return redirect(f"/nights/{_date(date).isoformat()}")


@router.get("/nights/{evening}")
def one_night(evening: str, request: Request, context: Context, user: Reader) -> Response:
    """Show the night that began on this date."""
    return _page(request, context, user, night_of(context.nights, _date(evening)))


@router.get("/days/{morning}")
def one_day(morning: str, request: Request, context: Context, user: Reader) -> Response:
    """Show the day between two nights."""
    day = day_of(context.nights, _date(morning))
    if day is None:
        raise PageProblem(HTTPStatus.NOT_FOUND, "This date has no day: one night ends when the next night begins.")
    return _page(request, context, user, day)


def _page(request: Request, context: ApiContext, user: PageUser, period: Period) -> Response:
    now = context.clock()
    night = night_content(context.database, context.settings, context.nights, period, now=now)
    refresh = request.query_params.get("refresh", "")
    seconds = max(int(refresh), _SHORTEST_REFRESH_SECONDS) if refresh.isdecimal() and len(refresh) < 6 else None  # noqa: PLR2004
    before, after, day = _neighbours(context, period)
    return page(
        request,
        user,
        "night.html.j2",
        section="Night",
        headers={"Refresh": str(seconds)} if seconds else None,
        night=night,
        pictures=_pictures(night),
        refreshes=seconds is not None,
        here_path=request.url.path,
        chosen=period.date.isoformat(),
        before=before,
        after=after,
        day=day,
    )


def _pictures(night: NightContent) -> dict[int, str]:
    return {image["image_id"]: f"/v1/images/{image['image_id']}/thumbnail.png" for image in night.suspicious}


def _neighbours(context: ApiContext, period: Period) -> tuple[Period, Period | None, Period | None]:
    """Return the night before, the night after and the day after; None for a period that has not begun."""
    now = context.clock()
    evening = period.date if period.kind == "night" else context.nights.local(period.until).date()
    before = night_of(context.nights, evening - _DAY)
    after = night_of(context.nights, evening + _DAY if period.kind == "night" else evening)
    day = day_of(context.nights, context.nights.local(period.until).date()) if period.kind == "night" else None
    return before, after if after.since <= now else None, day if day and day.since <= now else None


def _has_arrivals(context: ApiContext, period: Period) -> bool:
    return queries.has_arrivals(context.database, since=period.since, until=period.until)


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        text = "This is not a date: write it as YYYY-MM-DD, for example 2026-11-05."
        raise PageProblem(HTTPStatus.NOT_FOUND, text) from None
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise PageProblem(HTTPStatus.NOT_FOUND, f"The year must be between {_FIRST_YEAR} and {_LAST_YEAR}.")
    return found


_FIRST_YEAR, _LAST_YEAR = 1970, 9000
