"""Define the routes that read: results, one study or series, nights, models and the state of the work."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.params import Depends as DependsParameter
from starlette.datastructures import URL

from api.accept import accept_of
from api.access import CurrentPrincipal, Permission, require
from api.context import ApiContext, Context
from api.formats import MEDIA_TYPES, chosen_format
from api.images.objects import with_links
from api.json_response import json_list, json_object, json_response, json_text, text_response
from api.openapi import IMAGE_SCHEMA, json_body, problem_responses
from api.parameters import only, only_those_of
from api.problems import Problem
from api.read_audit import note_read
from api.results.model_list import model_list
from api.results.search import ResultsSearch, filter_of, page_limit, with_limit
from api.results.times import night_bounds, unprocessable
from api.series_rows import series_row
from api.services import Services
from api.status import take_status
from api.uid_in_path import UID
from db import queries
from db.queries import ImageFilter, InvalidCursorError, Series
from db.tables import State

READ: list[DependsParameter] = [require(Permission.READ)]
router = APIRouter(tags=["results"], dependencies=READ)

_MOST_IMAGES = 1000
_OBJECT = {"type": "object"}
_Uid = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
"""A UID as the header has it, percent-encoded. Some headers have UIDs with characters that the standard forbids."""
_PAGE_SCHEMA = {
    "type": "object",
    "required": ["images", "next", "note"],
    "properties": {
        "images": {"type": "array", "items": IMAGE_SCHEMA},
        "next": {"type": ["string", "null"], "description": "Path of the next page."},
        "note": {
            "type": ["string", "null"],
            "description": "The issuers of the number, as a sentence. Images of several issuers may be of different "
            "patients.",
        },
    },
}
_FILE = {"schema": {"type": "string"}}


@router.get(
    "/v1/results",
    summary="Search results",
    dependencies=[only_those_of(ResultsSearch)],
    responses={
        200: {
            "description": "A page of JSON, or a file with all rows.",
            "content": {
                "application/json": {"schema": _PAGE_SCHEMA},
                **{kind: _FILE for style, kind in MEDIA_TYPES.items() if style != "json"},
            },
        },
        **problem_responses(406),
    },
)
async def search_results(
    search: Annotated[ResultsSearch, Query()], request: Request, context: Context, services: Services
) -> Response:
    """Search with the conditions of `nightread query`.

    JSON has pages: `next` is the path of the next page, or null. JSON lines, CSV and Parquet have all rows in one
    response. `format` chooses the format; without it, the header Accept does. If a patient or accession number belongs
    to several issuers, `note` lists them; a response with a file lists them in the header Nightread-Note,
    percent-encoded.
    """
    style = chosen_format(search.format, accept_of(request.headers))
    wanted, note = await run_in_threadpool(filter_of, search, context)
    if style != "json":
        if search.cursor is not None:
            raise unprocessable("A cursor is for pages of JSON; a file has all rows: omit `cursor`.")
        return await services.exports.response(style, with_limit(wanted, search), search.columns, context, note=note)
    return await run_in_threadpool(_page, search, wanted, note, request.url, context)


def _page(search: ResultsSearch, wanted: ImageFilter, note: str | None, url: URL, context: ApiContext) -> Response:
    """Return the response with one page. Runs in a thread, because encoding a large page takes some time."""
    try:
        page = queries.page(context.database, wanted, cursor=search.cursor, limit=page_limit(search))
    except InvalidCursorError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
    following = url.include_query_params(cursor=page.next_cursor) if page.next_cursor else None
    return text_response(
        json_object(
            images=json_list(with_links(row) for row in page.rows),
            next=json_text(f"{following.path}?{following.query}" if following else None),
            note=json_text(note),
        )
    )


@router.get(
    f"/v1/studies/{{study_instance_uid:{UID}}}",
    dependencies=[only()],
    summary="Read one study",
    responses={200: json_body("The study, with its images.", _OBJECT), **problem_responses(404)},
)
def read_study(study_instance_uid: _Uid, context: Context, principal: CurrentPrincipal) -> Response:
    """Return the completeness of a study and its first 1,000 current images; `links.images` leads to all images."""
    found = list(queries.studies(context.database, now=context.clock(), study_instance_uid=study_instance_uid, limit=1))
    if not found:
        raise Problem(HTTPStatus.NOT_FOUND, "There is no study with this Study Instance UID.")
    note_read(context, principal, "study", study_instance_uid)
    study = found[0]
    wanted = ImageFilter(study_instance_uid=study_instance_uid, current=True, limit=_MOST_IMAGES)
    counts = ("images", "done", "no_result", "unfinished", "withdrawn", "expected", "reported_by")
    return json_response(
        {
            "study_instance_uid": study.study_instance_uid,
            "completeness": study.completeness.value,
            "counts": {name: getattr(study, name) for name in counts},
            "first_arrival": study.first_arrival,
            "last_arrival": study.last_arrival,
            "tags": queries.study_tags(context.database, [study_instance_uid]).get(study_instance_uid, []),
            "series": [series_row(each) for each in _series_of_study(context, study_instance_uid)],
            "images": [with_links(row) for row in queries.images(context.database, wanted)],
            "links": {
                "self": f"/v1/studies/{quote(study_instance_uid, safe='')}",
                "images": f"/v1/results?study={quote(study_instance_uid, safe='')}",
            },
        }
    )


@router.get(
    f"/v1/series/{{series_instance_uid:{UID}}}",
    dependencies=[only()],
    summary="Read one series",
    responses={200: json_body("The series, with its images.", _OBJECT), **problem_responses(404)},
)
def read_series(series_instance_uid: _Uid, context: Context, principal: CurrentPrincipal) -> Response:
    """Return the results of a series, and its first 1,000 current images; `links.images` leads to all images.

    `study_instance_uids` lists the studies of these results and images. There may be several, if a sender used one
    Series Instance UID in several studies.
    """
    wanted = ImageFilter(series_instance_uid=series_instance_uid, current=True, limit=_MOST_IMAGES)
    found = [with_links(row) for row in queries.images(context.database, wanted)]
    if not found:
        raise Problem(HTTPStatus.NOT_FOUND, "There is no image with this Series Instance UID.")
    results = _series_results(context, series_instance_uid)
    studies = sorted({row["study_instance_uid"] for row in (*results, *found) if row["study_instance_uid"]})
    for study in studies:
        note_read(context, principal, "study", study)
    return json_response(
        {
            "series_instance_uid": series_instance_uid,
            "study_instance_uids": studies,
            "results": results,
            "images": found,
            "links": {
                "self": f"/v1/series/{quote(series_instance_uid, safe='')}",
                "images": f"/v1/results?series={quote(series_instance_uid, safe='')}",
            },
        }
    )


def _series_of_study(context: ApiContext, study_instance_uid: str) -> Iterator[Series]:
    return queries.series_list(context.database, study_instance_uid=study_instance_uid)


def _series_results(context: ApiContext, series_instance_uid: str) -> list[dict[str, Any]]:
    """Return one object per stack and bundle; its `places` lists all slices of the stack in order."""
    places = queries.places_of(context.database, series_instance_uid)
    found = queries.series_list(context.database, series_instance_uid=series_instance_uid)
    return [
        series_row(each)
        | {
            "places": _places(
                places.get((each.study_instance_uid, each.model or "", each.model_version or "", each.stack or 0), [])
            )
        }
        for each in found
    ]


def _places(places: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    return [{"image_id": image_id, "frame": frame, "score": score} for image_id, frame, score in places]


@router.get(
    "/v1/nights/{night}",
    dependencies=[only()],
    summary="Count the images of a night",
    responses={200: json_body("The counts of the night.", _OBJECT), **problem_responses()},
)
def read_night(
    night: Annotated[str, Path(max_length=20, description="The date of the evening, such as 2026-11-05, or `last`.")],
    context: Context,
) -> Response:
    """Return the numbers of images by state, reason and label, and the numbers of series results by outcome."""
    since, until = night_bounds(night, context)
    counts = queries.night_counts(context.database, since, until)
    evening = context.nights.local(since).date().isoformat()
    return json_response(
        {
            "night": evening,
            "begins_at": since,
            "ends_at": until,
            "arrived": counts.arrived,
            **{state.value: counts.states[state] for state in State},
            "reasons": dict(counts.reasons.most_common()),
            "labels": dict(counts.labels.most_common()),
            "series": queries.series_tally(context.database, since=since, until=until).to_json(),
            "links": {"self": f"/v1/nights/{evening}", "images": f"/v1/results?night={evening}"},
        }
    )


@router.get(
    "/v1/status",
    dependencies=[only()],
    summary="Read the state of the work",
    responses={200: json_body("The object of `nightread status --json`.", _OBJECT), **problem_responses()},
)
def read_status(context: Context) -> Response:
    """Return counts, speed, expected end, sources and workers, as `nightread status --json` does."""
    status = take_status(context.database, context.settings, context.nights, context.clock())
    return json_response(status.to_json(context.settings))


@router.get(
    "/v1/models",
    dependencies=[only()],
    summary="List models",
    responses={200: json_body("The models.", {"type": "array", "items": _OBJECT}), **problem_responses()},
)
def list_models(context: Context) -> Response:
    """Return the models that this host finds, and whether workers use them."""
    return json_response(model_list(context))
