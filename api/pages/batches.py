"""Serve the page of batches and workers."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from api.context import ApiContext, Context
from api.pages.links import path_link
from api.pages.page_route import page_router
from api.pages.page_user import PageProblem, Reader, page
from db import queries
from db.queries import BatchRecord, NodeTotals

router = page_router()
_ROWS = 100
_PERIOD = timedelta(hours=24)
_LONGEST_ID = 36
PHASES = ("fetch", "read", "prepare", "predict", "record")
"""The usual phases, in the order of work. Other phases follow them in alphabetical order."""


@router.get("/batches")
def batches(request: Request, context: Context, user: Reader) -> Response:
    """Show the workers, their totals of the last 24 hours, and the latest batches."""
    before = _cursor(request, context)
    records = queries.batch_records(context.database, limit=_ROWS + 1, before=before)
    shown = records[:_ROWS]
    last = shown[-1] if len(records) > _ROWS else None
    now = context.clock()
    totals = queries.node_totals(context.database, since=now - _PERIOD)
    return page(
        request,
        user,
        "batches.html.j2",
        section="Batches",
        records=shown,
        following=path_link("/batches", at=last.created_at.isoformat(), after=last.id) if last else None,
        first="/batches" if before else None,
        workers=queries.workers(context.database, now=now),
        totals=totals,
        **_phases([*shown, *totals.by_node]),
    )


@router.get("/batches/{batch_id}")
def batch(batch_id: str, request: Request, context: Context, user: Reader) -> Response:
    """Show one batch."""
    found = queries.batch_records(context.database, limit=1, batch_id=batch_id) if len(batch_id) <= _LONGEST_ID else []
    if not found:
        raise PageProblem(HTTPStatus.NOT_FOUND, "There is no batch with this id.")
    return page(
        request,
        user,
        "batches.html.j2",
        section="Batches",
        records=found,
        following=None,
        first="/batches",
        workers=[],
        totals=None,
        **_phases(found),
    )


def _phases(records: Sequence[BatchRecord | NodeTotals]) -> dict[str, Any]:
    """Return two variables for the template: the names of all phases, and a function that returns the parts of a bar.

    The bar of a batch shows how its seconds are divided among the phases.
    """
    named = {phase for record in records for phase in record.seconds}
    phases = [*(phase for phase in PHASES if phase in named), *sorted(named - set(PHASES))]

    def parts(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
        total = sum(seconds.values()) or 1.0
        return [(f"phase-{number % 6}", seconds.get(phase, 0.0) / total) for number, phase in enumerate(phases)]

    return {"phases": phases, "phase_parts": parts}


def _cursor(request: Request, context: ApiContext) -> tuple[datetime, str] | None:
    at, after = request.query_params.get("at"), request.query_params.get("after")
    if not at or not after:
        return None
    try:
        return context.nights.utc(datetime.fromisoformat(at)), after[:_LONGEST_ID]
    except (ValueError, OverflowError):
        raise PageProblem(HTTPStatus.BAD_REQUEST, "The link is not valid: open the first page of the list.") from None
