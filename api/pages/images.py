"""Serve the list of images, with search, filters and pages."""

from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from api.context import ApiContext, Context
from api.hashing import site_hasher
from api.named_images import named_images
from api.number_search import NumberSearch, search_number
from api.pages.image_search import DEFAULT_SORT, MOST_VALUES, ImageSearch, SearchError, image_search
from api.pages.links import images_link, path_link, study_link
from api.pages.page_route import page_router
from api.pages.page_user import PageProblem, Reader, checked_form, page, redirect
from db import queries
from db.queries import InvalidCursorError
from db.tables import State
from imaging.patient import NumberKind
from nightread.content_digest import is_content
from nightread.errors import UsageFault
from nightread.plain_text import is_uid
from nightread.reasons import Reason

router = page_router()
_ROWS, _PICTURES = 100, 60
_LONGEST_SEARCH, _LONGEST_NUMBER = 4096, 200
_SORTS = {
    "newest": "newest first",
    "id": "oldest first",
    "suspicion": "most suspicious first",
    "score": "highest score first",
    "finished": "latest outcome first",
}


@router.get("/images")
def images(request: Request, context: Context, user: Reader) -> Response:
    """Show the images that match. A search (`q`) that finds one image redirects to its page."""
    searched = request.query_params.get("q", "").strip()
    if searched:
        return _found(context, searched)
    try:
        search = image_search(request.query_params, context.nights, ("view", "cursor", "q"))
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
        user,
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
        issuers=max(len(search.wanted.patient_keys), len(search.wanted.accession_keys)),
    )


@router.post("/images/find")
async def find_number(request: Request, context: Context, user: Reader) -> Response:
    """Redirect to the images of a patient or accession number. The number is hashed, so that no address contains it."""
    fields = await checked_form(request, user)
    kind: NumberKind = "accession" if fields.get("kind") == "accession" else "patient"
    number = fields.get("number", "").strip()
    if not number or len(number) > _LONGEST_NUMBER:
        raise PageProblem(HTTPStatus.BAD_REQUEST, "Give the number of a patient or an order.")
    found = await run_in_threadpool(_of_number, context, kind, number)
    if not found.issuers:
        text = "No image has this number. It was searched without an issuer, and with each issuer that headers name."
        raise PageProblem(HTTPStatus.NOT_FOUND, text)
    keys = [issuer.key for issuer in found.issuers]
    if len(keys) == 1:
        return redirect(images_link(**{f"{kind}_key": keys[0]}))
    return page(
        request,
        user,
        "issuers.html.j2",
        section="Images",
        kind=kind,
        issuers=[(issuer, images_link(**{f"{kind}_key": issuer.key})) for issuer in found.issuers],
        together=path_link("/images", {f"{kind}_key": keys}) if len(keys) <= MOST_VALUES else None,
    )


def _of_number(context: ApiContext, kind: NumberKind, number: str) -> NumberSearch:
    """Search the number without an issuer, and with each issuer that headers named."""
    try:
        hasher = site_hasher(context.settings)
    except UsageFault:
        text = "Numbers are stored as hashes, and this host does not have the site key of the workers."
        raise PageProblem(HTTPStatus.CONFLICT, text) from None
    return search_number(context.database, hasher, kind, number, None)


def _found(context: ApiContext, searched: str) -> Response:
    """Redirect to the image, study or list that the text names. Raises PageProblem if there is none."""
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
    if is_content(searched):
        return redirect(images_link(content=searched))
    if is_uid(searched):
        return redirect(_of_uid(context, searched))
    if len(found) > MOST_VALUES:
        arrivals = f"{len(found):,} images arrived under this path, more than the {MOST_VALUES} that a list can show"
        raise PageProblem(HTTPStatus.BAD_REQUEST, f"{arrivals}: search for the id, UID or hash of one of them.")
    return redirect(path_link("/images", {"id": [str(image_id) for image_id in found]}))


def _of_uid(context: ApiContext, uid: str) -> str:
    """Return the link for a UID: to the versions of an image, to a study, or to the images of a series.

    Series are searched last, because `instances` has no index on their UID.
    """
    links = {"sop_instance_uid": images_link(sop=uid), "study_instance_uid": study_link(uid)}
    links["series_instance_uid"] = images_link(series=uid)
    for field, link in links.items():
        wanted = queries.ImageFilter(**{field: uid}, limit=1)  # type: ignore[arg-type]
        if queries.image_ids(context.database, wanted):
            return link
    return study_link(uid)


def _choices(context: ApiContext) -> dict[str, list[str]]:
    """Return the values to choose from in the search form, by the name of the filter."""
    bundles = queries.bundles(context.database)
    return {
        "state": [state.value for state in State],
        "reason": [reason.value for reason in Reason],
        "label": sorted({label for bundle in bundles for label in (*bundle.labels, bundle.normal_label) if label}),
        "model": [f"{bundle.name}@{bundle.version}" for bundle in bundles],
        "source": [source.name for source in queries.sources(context.database)],
    }


def _further(search: ImageSearch) -> list[tuple[str, Any]]:
    """Return (name, value) for each hidden field of the form.

    A visible field shows only the first value of its filter. Hidden fields keep its other values, and the filters that
    have no visible field.
    """
    return [
        (name, value)
        for name, values in search.query.items()
        for value in (values if isinstance(values, list) else [values])[1 if name in _FIELDS else 0 :]
    ]


_FIELDS = ("state", "reason", "label", "model", "source", "modality", "night", "min_score", "sort")
