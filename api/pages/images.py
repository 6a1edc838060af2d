"""Serve the list of images, with search, filters and pages."""

import re
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.context import ApiContext, Context
from api.named_images import named_images
from api.pages.image_search import DEFAULT_SORT, ImageSearch, SearchError, image_search
from api.pages.links import images_link, path_link, study_link
from api.pages.viewer import PageProblem, Reader, page, redirect
from db import queries
from db.queries import InvalidCursorError
from db.tables import State
from nightread.errors import UsageFault
from nightread.plain_text import is_uid
from nightread.reasons import Reason

router = APIRouter(include_in_schema=False)
_ROWS, _PICTURES = 100, 60
_LONGEST_SEARCH = 4096
_SORTS = {
    "newest": "newest first",
    "id": "oldest first",
    "suspicion": "most suspicious first",
    "score": "highest score first",
    "finished": "latest outcome first",
}


@router.get("/images")
def images(request: Request, context: Context, viewer: Reader) -> Response:
    """Show the images that match; a search for one image leads to its page."""
    searched = request.query_params.get("q", "").strip()
    if searched:
        return _found(context, searched)
    try:
        search = image_search(request.query_params, context.nights)
        as_pictures = request.query_params.get("view") == "pictures"
        cursor = request.query_params.get("cursor") or None
        limit = _PICTURES if as_pictures else _ROWS
        found = queries.page(context.database, search.wanted, cursor=cursor, limit=limit)
    except SearchError as error:
        raise PageProblem(HTTPStatus.BAD_REQUEST, str(error)) from None
    except InvalidCursorError as error:
        raise PageProblem(HTTPStatus.BAD_REQUEST, str(error)) from None
    view = {"view": "pictures"} if as_pictures else {}
    return page(
        request,
        viewer,
        "images.html.j2",
        section="Images",
        search=search,
        rows=found.rows,
        as_pictures=as_pictures,
        other_view=path_link("/images", search.query, view="" if as_pictures else "pictures"),
        first=path_link("/images", {**search.query, **view}) if cursor else None,
        following=path_link("/images", {**search.query, **view}, cursor=found.next_cursor)
        if found.next_cursor
        else None,
        choices=_choices(context),
        sorts=_SORTS,
        default_sort=DEFAULT_SORT,
        further=_further(search),
    )


def _found(context: ApiContext, searched: str) -> Response:
    """Lead to the image, study or list that the text names. Raises PageProblem if there is none."""
    problem = "Nothing has this id, UID, hash or path. A UID is known once a worker has read the file."
    if len(searched) > _LONGEST_SEARCH or "\0" in searched:
        raise PageProblem(HTTPStatus.NOT_FOUND, problem)
    searched = searched.removeprefix("#")
    try:
        found = named_images(context.database, context.settings, searched)
    except UsageFault:
        raise PageProblem(HTTPStatus.NOT_FOUND, problem) from None
    if len(found) == 1:
        return redirect(f"/images/{found[0]}")
    if re.fullmatch(r"[0-9a-f]{64}", searched):
        return redirect(images_link(sha256=searched))
    if is_uid(searched):
        return redirect(_of_uid(context, searched))
    return redirect(path_link("/images", {"id": [str(image_id) for image_id in found[:50]]}))


def _of_uid(context: ApiContext, uid: str) -> str:
    """Return the study if the UID is that of a study, else the images of the series or the versions of the image."""
    for name, field in (("sop", "sop_instance_uid"), ("series", "series_instance_uid")):
        wanted = queries.ImageFilter(**{field: uid}, limit=1)  # type: ignore[arg-type]
        if queries.image_ids(context.database, wanted):
            return images_link(**{name: uid})
    return study_link(uid)


def _choices(context: ApiContext) -> dict[str, list[str]]:
    """Return the values that the lists of the form offer."""
    bundles = queries.bundles(context.database)
    return {
        "state": [state.value for state in State],
        "reason": [reason.value for reason in Reason],
        "label": sorted({label for bundle in bundles for label in (*bundle.labels, bundle.normal_label) if label}),
        "model": [f"{bundle.name}@{bundle.version}" for bundle in bundles],
        "source": [source.name for source in queries.sources(context.database)],
    }


def _further(search: ImageSearch) -> list[tuple[str, Any]]:
    """Return the filters that the form has no field for; it keeps them as hidden fields."""
    return [
        (name, value)
        for name, values in search.query.items()
        if name not in _FIELDS
        for value in (values if isinstance(values, list) else [values])
    ]


_FIELDS = ("state", "reason", "label", "model", "source", "modality", "night", "min_score", "sort")
