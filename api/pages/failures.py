"""Serve the page of images without a result, by reason, and the form that retries them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby, islice
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from starlette.datastructures import QueryParams

from api.context import ApiContext, Context
from api.pages.image_search import ImageSearch, SearchError, image_search, night_begun_with, require_known
from api.pages.links import path_link
from api.pages.page_route import page_router
from api.pages.page_user import PageProblem, Reader, checked_form, page, redirect, require_operator
from api.pages.period import current_periods
from api.retriable_files import is_file_gone
from db import ledger, queries
from db.queries import ImageFilter, Retriable
from db.tables import State
from nightread.reasons import Reason

router = page_router()
_EXAMPLES = 5
MOST_RETRIED = 10_000
"""Largest number of images that one request retries."""
_TIMES = ("night", "since", "until")
_FORM_NAMES = ("id", "state", "reason", "source", *_TIMES)
_STATES = (State.FAILED.value, State.REJECTED.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasonGroup:
    """The images that ended for one reason."""

    state: str
    reason: str
    message: str
    images: int
    by_source: Sequence[tuple[str, int]]
    examples: Sequence[Mapping[str, Any]]
    """The latest images of the group, as rows of `queries.images`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPlan:
    """The images that a retry would take, and how many it would leave out."""

    again: list[int]
    by_reason: Counter[tuple[str, str]]
    replaced: int
    """Images that are left out because a newer file at the same place is an arrival of its own."""
    file_gone: int
    """Images that are left out because their file is gone."""
    is_cut: bool
    """True if more images match than one request retries."""


@router.get("/failures")
def failures(request: Request, context: Context, user: Reader) -> Response:
    """Show the failed and rejected images of a period; by default since the start of the current or last night."""
    search = _search(request.query_params, context)
    groups = list(_groups(context, search.wanted))
    return page(
        request,
        user,
        "failures.html.j2",
        section="Failures",
        groups=groups,
        times={name: value for name, value in search.query.items() if name in _TIMES},
        search=search,
        shown=night_begun_with(search, context.nights, context.clock()),
        retried=_number(request.query_params.get("retried", "")),
    )


@router.post("/retry")
async def retry(request: Request, context: Context, user: Reader) -> Response:
    """Show what a retry would do. If the form has the field `confirmed`, retry the images."""
    fields = await checked_form(request, user)
    require_operator(user)
    query = {name: fields[name] for name in _FORM_NAMES if fields.get(name)}
    if not {"id", "reason"} & query.keys():
        raise PageProblem(HTTPStatus.BAD_REQUEST, "Choose an image or a reason.")
    search = _search(QueryParams(query), context, default=False)
    plan = await run_in_threadpool(_plan, context, search.wanted)
    if not fields.get("confirmed"):
        return page(request, user, "retry.html.j2", section="Failures", plan=plan, query=query, most=MOST_RETRIED)
    retried = await run_in_threadpool(
        ledger.retry, context.database, plan.again, actor=user.principal.name, now=context.clock()
    )
    services = getattr(request.app.state, "services", None)
    if services is not None:
        services.notify_dispatcher()
    if "id" in query:
        return redirect(f"/images/{query['id']}")
    return redirect(path_link("/failures", {name: query[name] for name in _TIMES if name in query}, retried=retried))


def _search(parameters: QueryParams, context: ApiContext, *, default: bool = True) -> ImageSearch:
    """Read the filters. With `default`, a search without times begins at the start of the current or last night."""
    named = [(name, value) for name, value in parameters.multi_items() if name in _FORM_NAMES and value]
    if default and not any(name in _TIMES for name, _ in named):
        night, _ = current_periods(context.nights, context.clock())
        named.append(("since", night.since.isoformat()))
    try:
        if default:
            require_known(parameters, (*_TIMES, "retried"))
        search = image_search(QueryParams(named), context.nights)
    except SearchError as error:
        raise PageProblem(HTTPStatus.BAD_REQUEST, str(error)) from None
    if not set(search.wanted.states) <= set(_STATES):
        raise PageProblem(HTTPStatus.BAD_REQUEST, "Only failed and rejected images can be retried.")
    return search


def _groups(context: ApiContext, wanted: ImageFilter) -> Iterator[ReasonGroup]:
    counted = queries.failure_groups(context.database, since=wanted.since, until=wanted.until)
    ids = queries.failure_examples(context.database, since=wanted.since, until=wanted.until, each=_EXAMPLES)
    newest = ImageFilter(image_ids=tuple(ids), sort="newest")
    rows = list(queries.images(context.database, newest)) if ids else []
    groups = [_group(list(same), rows) for _, same in groupby(sorted(counted, key=_kind), _kind)]
    yield from sorted(groups, key=lambda group: (group.state, -group.images))


def _kind(group: queries.FailureGroup) -> tuple[str, str]:
    return group.state, group.reason


def _group(same: Sequence[queries.FailureGroup], examples: Sequence[Mapping[str, Any]]) -> ReasonGroup:
    state, reason = same[0].state, same[0].reason
    return ReasonGroup(
        state=state,
        reason=reason,
        message=_MESSAGES.get(reason, ""),
        images=sum(group.images for group in same),
        by_source=[(group.source, group.images) for group in sorted(same, key=lambda group: -group.images)],
        examples=[row for row in examples if (row["state"], row["reason"] or "") == (state, reason)],
    )


def _plan(context: ApiContext, wanted: ImageFilter) -> RetryPlan:
    found = list(islice(_retriable(context, wanted), MOST_RETRIED + 1))
    plan = RetryPlan(
        again=[],
        by_reason=Counter(),
        replaced=sum(image.replaced for image in found[:MOST_RETRIED]),
        file_gone=sum(_is_gone(image, context) for image in found[:MOST_RETRIED]),
        is_cut=len(found) > MOST_RETRIED,
    )
    for image in found[:MOST_RETRIED]:
        if not image.replaced and not _is_gone(image, context):
            plan.again.append(image.image_id)
            plan.by_reason[image.state, image.reason] += 1
    return plan


def _retriable(context: ApiContext, wanted: ImageFilter) -> Iterable[Retriable]:
    return queries.retriable(context.database, wanted)


def _is_gone(image: Retriable, context: ApiContext) -> bool:
    return not image.replaced and is_file_gone(image, context.settings)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004


_MESSAGES = {reason.value: reason.message for reason in Reason}
