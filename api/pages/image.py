"""Serve the page of one image: picture, scores, header, model, file, and everything that happened to it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from api.context import ApiContext, Context
from api.pages.bundle_cards import card_of, score_rows
from api.pages.links import path_link, viewer_link
from api.pages.page_route import page_router
from api.pages.page_user import PageProblem, Reader, page
from api.pictures.finding import has_finding
from api.read_audit import note_read
from db import queries
from db.queries import EntryScope, ImageFacts
from db.tables import State

router = page_router()
_LARGEST_ID = 2**63 - 1
_WINDOWS = {"header": "header", "full": "full range"}
_CT_WINDOWS = {"lung": "lung", "bone": "bone", "brain": "brain", "soft-tissue": "soft tissue"}
_FRAMES_SHOWN = 60
ENTRIES = EntryScope(views=False, latest=20_000)
"""The entries of the audit table that the page searches: the latest 20,000, without views. `nightread trace` searches
all entries."""
HEADER_FACTS = {
    "modality": "Modality",
    "body_part": "Body part",
    "view_position": "View",
    "laterality": "Laterality",
    "image_type": "Image type",
    "study_date": "Study date",
    "patient_sex": "Sex",
    "age_band": "Age",
    "manufacturer": "Manufacturer",
    "station_name": "Station",
    "sop_class_uid": "SOP class",
    "transfer_syntax": "Transfer syntax",
    "decoder": "Decoder",
    "study_instance_uid": "Study",
    "series_instance_uid": "Series",
    "sop_instance_uid": "Image",
    "patient_key": "Patient key",
    "accession_key": "Accession key",
}
"""Columns of `instances` that the page shows if they have a value, with their headings."""


@router.get("/images/{number}")
def image(number: str, request: Request, context: Context, user: Reader) -> Response:
    """Show one image; the view is written to the audit table."""
    facts = _facts(context, number)
    shown = facts.image
    note_read(context, user.principal, "image", shown["image_id"])
    is_finding = has_finding(context.database, shown["image_id"])
    card = card_of(context.settings, facts.digests.get(_model(shown)))
    return page(
        request,
        user,
        "image.html.j2",
        section="Images",
        facts=facts,
        image=shown,
        tags=queries.image_tags(context.database, [shown]).get(shown["image_id"], []),
        model=_model(shown),
        card=card,
        scores=score_rows(shown["scores"], shown["label"], card),
        header=[(name, facts.stored[column]) for column, name in HEADER_FACTS.items() if facts.stored.get(column)],
        picture=_picture(request, facts, is_finding=is_finding),
        is_finding=is_finding,
        left_out_before=_left_out_before(context, shown),
        timeline=list(_timeline(context, shown["image_id"])),
        frames=sorted(facts.frames, key=lambda frame: -(frame["score"] or 0))[:_FRAMES_SHOWN],
        viewer_address=_viewer_address(context, shown),
        may_retry=shown["state"] in (State.FAILED, State.REJECTED),
    )


def _facts(context: ApiContext, number: str) -> ImageFacts:
    is_id = number.isascii() and number.isdecimal() and int(number[:30]) <= _LARGEST_ID
    facts = queries.image_facts(context.database, int(number)) if is_id else None
    if facts is None:
        raise PageProblem(HTTPStatus.NOT_FOUND, "There is no image with this id.")
    return facts


def _model(row: Mapping[str, Any]) -> str:
    return f"{row['model']}@{row['model_version']}" if row["model"] else ""


def _picture(request: Request, facts: ImageFacts, *, is_finding: bool) -> dict[str, Any]:
    """Return the addresses of the picture and its heat map, and links that choose another frame, window or overlay."""
    here, image_id = f"/images/{facts.image['image_id']}", facts.image["image_id"]
    count = max(facts.stored["frames"] or 1, 1)
    chosen = request.query_params.get("frame", "")
    frame = min(max(int(chosen), 1), count) if chosen.isascii() and chosen.isdecimal() and len(chosen) < 7 else None  # noqa: PLR2004
    windows = _WINDOWS | (_CT_WINDOWS if facts.image["modality"] == "CT" else {})
    window = request.query_params.get("window", "header")
    window = window if window in windows else "header"
    overlay = request.query_params.get("overlay") == "1"
    parameters = {"frame": frame, "window": None if window == "header" else window}
    return {
        "address": path_link(f"/v1/images/{image_id}/preview.png", parameters),
        # The frame is always named. Otherwise the heat map could be of another frame, the one with the highest score.
        "heat_map": path_link(f"/v1/images/{image_id}/heatmap.png", frame=frame or 1)
        if overlay and is_finding
        else None,
        "frame": frame or 1,
        "frames": count,
        "window": window,
        "overlay": overlay,
        "windows": [
            (words, name == window, path_link(here, frame=frame, window=name, overlay=1 if overlay else None))
            for name, words in windows.items()
        ],
        "toggle": path_link(here, {**parameters, "overlay": None if overlay else 1}),
        "is_wide": (facts.stored["columns"] or 1) >= (facts.stored["rows"] or 1),
    }


def _timeline(context: ApiContext, image_id: int) -> Iterator[queries.Event]:
    """Yield the events of the image, except its views: this page adds a view each time it is opened."""
    for trace in queries.trace(context.database, [image_id], ENTRIES):
        yield from trace.events


def _left_out_before(context: ApiContext, row: Mapping[str, Any]) -> datetime | None:
    """Return the time before which audit entries were not searched; None if the search reached back to the arrival."""
    since = queries.searched_since(context.database, ENTRIES)
    return since if since is not None and since > row["received_at"] else None


def _viewer_address(context: ApiContext, row: Mapping[str, Any]) -> str:
    return viewer_link(
        context.settings.viewer_url,
        study=row["study_instance_uid"],
        series=row["series_instance_uid"],
        sop=row["sop_instance_uid"],
    )
