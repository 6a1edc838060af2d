"""Define the routes that list studies and batches, as JSON or as files."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field, StringConstraints
from starlette.datastructures import URL

from api.accept import accept_of
from api.access import Permission, require
from api.context import ApiContext, Context
from api.formats import MEDIA_TYPES, chosen_format
from api.json_response import json_list, json_object, json_text, text_response
from api.openapi import problem_responses
from api.parameters import only_those_of
from api.results.times import Text, Times, bounds_of, unprocessable
from api.services import Services
from db import queries
from db.queries import BatchRecord, Completeness, Study

router = APIRouter(tags=["results"], dependencies=[require(Permission.READ)])

Format = Literal["json", "jsonl", "csv"]
FORMATS = ("json", "jsonl", "csv")
_FORMAT = Field(None, description="Format; overrides the header Accept. Formats except JSON have all rows.")
STUDY_COLUMNS = tuple(field.name for field in fields(Study))
BATCH_COLUMNS = tuple("batch_id" if field.name == "id" else field.name for field in fields(BatchRecord))
_AT_ONCE = 1000
_DEFAULT_LIMIT = 100
_OBJECTS = {"type": "array", "items": {"type": "object"}}
_FILES = {MEDIA_TYPES[style]: {"schema": {"type": "string"}} for style in ("jsonl", "csv")}
_STUDIES = {
    "type": "object",
    "required": ["studies", "more"],
    "properties": {
        "studies": _OBJECTS,
        "more": {"type": "boolean", "description": "Whether more studies match; a file (`format`) has all of them."},
    },
}


class StudiesSearch(Times):
    """The parameters of a list of studies, like the options of `nightread query --studies`."""

    study: Text | None = Field(None, description="Study Instance UID.")
    completeness: list[Completeness] = Field([], max_length=10, description="Only studies of this completeness.")
    reported: bool = Field(
        False, description="Only studies whose expected number of images was reported in this time range."
    )
    format: Format | None = _FORMAT
    limit: int | None = Field(None, ge=1, description="Number of studies [JSON: 100, at most 1000; a file: all].")


class BatchesSearch(BaseModel):
    """The parameters of a list of batches."""

    format: Format | None = _FORMAT
    limit: int | None = Field(None, ge=1, description="Number of batches [JSON: 100, at most 1000; a file: all].")
    cursor: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        None, description="Position of the next page, from the header Link of the previous page."
    )


@router.get(
    "/v1/studies",
    summary="List studies",
    dependencies=[only_those_of(StudiesSearch)],
    responses={
        200: {
            "description": "The studies with the newest arrivals, or a file with all of them.",
            "content": {"application/json": {"schema": _STUDIES}, **_FILES},
        },
        **problem_responses(406),
    },
)
async def list_studies(
    search: Annotated[StudiesSearch, Query()], request: Request, context: Context, services: Services
) -> Response:
    """List studies like `nightread query --studies`.

    A study is listed if one of its images arrived in this time range, or if the expected number of its images was
    reported in this time range.
    """
    style = chosen_format(search.format, accept_of(request.headers), FORMATS)
    since, until = await run_in_threadpool(bounds_of, search, context)

    def rows() -> Iterator[dict[str, Any]]:
        found = queries.studies(
            context.database,
            now=context.clock(),
            since=since,
            until=until,
            study_instance_uid=search.study,
            reported=search.reported,
        )
        wanted = (study for study in found if study.completeness in (search.completeness or Completeness))
        return (_study(study) for study in wanted)

    if style != "json":
        return await services.exports.rows_response(
            style, "studies", lambda: islice(rows(), search.limit), STUDY_COLUMNS
        )
    limit = min(search.limit or _DEFAULT_LIMIT, _AT_ONCE)
    return await run_in_threadpool(lambda: _study_list(list(islice(rows(), limit + 1)), limit))


def _study_list(found: Sequence[dict[str, Any]], limit: int) -> Response:
    studies = (
        {**row, "links": {"self": f"/v1/studies/{quote(row['study_instance_uid'], safe='')}"}} for row in found[:limit]
    )
    return text_response(json_object(studies=json_list(studies), more=json_text(len(found) > limit)))


@router.get(
    "/v1/batches",
    summary="List batches",
    dependencies=[only_those_of(BatchesSearch)],
    responses={
        200: {
            "description": "The latest batches, or a file with all of them.",
            "content": {"application/json": {"schema": _OBJECTS}, **_FILES},
            "headers": {"Link": {"description": 'The next page: `<PATH>; rel="next"`.', "schema": {"type": "string"}}},
        },
        **problem_responses(406),
    },
)
async def list_batches(
    search: Annotated[BatchesSearch, Query()], request: Request, context: Context, services: Services
) -> Response:
    """Return the latest batches, the newest first: their sizes, times, seconds by phase and outcomes."""
    style = chosen_format(search.format, accept_of(request.headers), FORMATS)
    before = _position(search.cursor, context) if search.cursor else None
    if style != "json":
        rows = _all_batches(context, before)
        return await services.exports.rows_response(style, "batches", lambda: islice(rows, search.limit), BATCH_COLUMNS)
    limit = min(search.limit or _DEFAULT_LIMIT, _AT_ONCE)
    return await run_in_threadpool(_batch_list, context, request.url, limit, before)


def _batch_list(context: ApiContext, url: URL, limit: int, before: tuple[datetime, str] | None) -> Response:
    found = queries.batch_records(context.database, limit=limit + 1, before=before)
    headers = {}
    if len(found) > limit:
        last = found[limit - 1]
        cursor = f"{last.created_at.astimezone(UTC).isoformat()}_{last.id}"
        following = url.include_query_params(cursor=cursor)
        headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return text_response(json_list(map(_batch, found[:limit])), headers=headers)


def _all_batches(context: ApiContext, before: tuple[datetime, str] | None) -> Iterator[dict[str, Any]]:
    while found := queries.batch_records(context.database, limit=_AT_ONCE, before=before):
        yield from map(_batch, found)
        before = found[-1].created_at, found[-1].id


def _position(cursor: str, context: ApiContext) -> tuple[datetime, str]:
    at, _, batch_id = cursor.partition("_")
    try:
        return context.nights.utc(datetime.fromisoformat(at)), batch_id.replace("\0", "")
    except (ValueError, OverflowError):
        raise unprocessable("The cursor is not valid: ask for the first page, without a cursor.") from None


def _batch(record: BatchRecord) -> dict[str, Any]:
    return dict(zip(BATCH_COLUMNS, map(_utc, asdict(record).values()), strict=True))


def _study(study: Study) -> dict[str, Any]:
    return {name: _utc(value) for name, value in asdict(study).items()}


def _utc(value: object) -> object:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
