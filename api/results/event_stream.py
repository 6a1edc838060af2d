"""Define /v1/events, which sends outcomes as they are recorded."""

from functools import partial
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from api.access import CurrentPrincipal, Permission, require
from api.openapi import problem_responses
from api.parameters import only
from api.problems import Problem
from api.services import Services

router = APIRouter(tags=["results"], dependencies=[require(Permission.READ), only()])


@router.get(
    "/v1/events",
    summary="Receive outcomes as they are recorded",
    responses={
        200: {"description": "Server-sent events.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **problem_responses(),
    },
    response_class=Response,
)
async def stream_events(request: Request, services: Services, principal: CurrentPrincipal) -> Response:
    """Send an event `outcome` for each image, with its id, state, reason and label, and without patient data.

    After an event `missed`, read the outcomes from /v1/results with `sort=finished`. A client that connects again with
    the header `Last-Event-ID`, as browsers do, gets this event first. Events need Redis. The stream ends soon after the
    key is revoked or has expired.
    """
    if services.events.is_full:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Too many clients listen already.", headers={"Retry-After": "60"})
    is_permitted = partial(services.authentication.is_in_force, principal)
    return StreamingResponse(
        services.events.listen(is_permitted, is_again="last-event-id" in request.headers),
        media_type="text/event-stream",
    )
