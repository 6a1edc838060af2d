"""Serve the list of studies, and the page of one study with its series, completeness and reports."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import QueryParams

from api.context import ApiContext, Context
from api.pages.image_search import SearchError, image_search, night_begun_with, require_known
from api.pages.links import path_link, study_link, viewer_link
from api.pages.page_route import page_router
from api.pages.page_user import PageProblem, Reader, page
from api.pages.period import current_periods
from api.read_audit import note_read
from api.uid_in_path import UID
from db import queries
from db.queries import ImageFilter, InvalidCursorError

router = page_router()
_ROWS, _IMAGES, _REPORTS = 100, 120, 50
_TIMES = ("night", "since", "until")
_LONGEST_UID = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesGroup:
    """The images of one series on a page of a study."""

    uid: str
    images: Sequence[Mapping[str, Any]]
    results: Sequence[queries.Series]
    """One result per stack and bundle; empty unless a bundle with unit `series` analysed an image of the series."""


@router.get("/studies")
def studies(request: Request, context: Context, user: Reader) -> Response:
    """Show the studies with the newest arrivals; by default since the start of the current or last night."""
    parameters = request.query_params
    named = [(name, parameters[name]) for name in _TIMES if parameters.get(name)]
    if not named:
        night, _ = current_periods(context.nights, context.clock())
        named = [("since", night.since.isoformat())]
    try:
        require_known(parameters, _TIMES)
        search = image_search(QueryParams(named), context.nights)
    except SearchError as error:
        raise PageProblem(HTTPStatus.BAD_REQUEST, str(error)) from None
    found = queries.latest_studies(
        context.database, now=context.clock(), since=search.wanted.since, until=search.wanted.until, limit=_ROWS
    )
    template = context.settings.viewer_url
    return page(
        request,
        user,
        "studies.html.j2",
        section="Studies",
        rows=[(study, viewer_link(template, study=study.study_instance_uid)) for study in found],
        tags=queries.study_tags(context.database, [study.study_instance_uid for study in found]),
        most=_ROWS,
        search=search,
        query={name: value for name, value in search.query.items() if name in _TIMES},
        shown=night_begun_with(search, context.nights, context.clock()),
    )


@router.get(f"/studies/{{uid:{UID}}}")
def study(uid: str, request: Request, context: Context, user: Reader) -> Response:
    """Show one study; the view is written to the audit table."""
    if len(uid) > _LONGEST_UID or "\0" in uid:
        raise _unknown()
    found = next(queries.studies(context.database, now=context.clock(), study_instance_uid=uid), None)
    if found is None:
        raise _unknown()
    note_read(context, user.principal, "study", uid)
    cursor = request.query_params.get("cursor") or None
    try:
        images = queries.page(context.database, ImageFilter(study_instance_uid=uid), cursor=cursor, limit=_IMAGES)
    except InvalidCursorError as error:
        raise PageProblem(HTTPStatus.BAD_REQUEST, str(error)) from None
    return page(
        request,
        user,
        "study.html.j2",
        section="Studies",
        study=found,
        tags=queries.study_tags(context.database, [uid]).get(uid, []),
        series=list(_by_series(images.rows, queries.series_list(context.database, study_instance_uid=uid))),
        following=path_link(study_link(uid), cursor=images.next_cursor) if images.next_cursor else None,
        first=study_link(uid) if cursor else None,
        reports=list(_reports(context, uid)),
        viewer_address=viewer_link(context.settings.viewer_url, study=uid),
    )


def _by_series(rows: Iterable[Mapping[str, Any]], results: Iterable[queries.Series]) -> Iterator[SeriesGroup]:
    of_series: dict[str, list[queries.Series]] = {}
    for result in results:
        of_series.setdefault(result.series_instance_uid, []).append(result)
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["series_instance_uid"] or "", []).append(row)
    for uid, images in groups.items():
        yield SeriesGroup(uid=uid, images=images, results=of_series.get(uid, ()))


def _reports(context: ApiContext, uid: str) -> Iterator[queries.Delivery]:
    yield from islice(queries.deliveries(context.database, study_instance_uid=uid), _REPORTS)


def _unknown() -> PageProblem:
    return PageProblem(
        HTTPStatus.NOT_FOUND, "There is no study with this UID. A UID is known once a worker has read the file."
    )
