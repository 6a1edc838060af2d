"""Define the routes that retry and cancel images, and pause and resume dispatch. Each writes to the audit table."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.access import CurrentPrincipal, Permission, require
from api.context import Context
from api.images.routes import ImageId
from api.json_response import json_response
from api.openapi import json_body, problem_responses
from api.parameters import only
from api.problems import Problem, no_image
from api.retriable_files import is_file_gone
from api.services import Services
from db import ledger, queries
from db.ledger import Cause
from db.ledger.pauses import ENDED_BY_PEOPLE
from db.queries import ImageFilter
from nightread.plain_text import visible

router = APIRouter(tags=["actions"], dependencies=[require(Permission.OPERATE), only()])

_ACTION = {"type": "object", "required": ["image_id", "state"]}
_PAUSES = {"type": "object", "required": ["paused"], "properties": {"paused": {"type": "array"}}}


class PauseRequest(BaseModel):
    """The body of /v1/pause."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"why": "testing a new model"}]})

    why: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


class ResumeRequest(BaseModel):
    """The body of /v1/resume."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"causes": ["person"]}]})

    causes: list[Cause] = Field(
        [], max_length=10, description="End pauses with these causes; empty: all except `hours`."
    )


@router.post(
    "/v1/images/{image_id}/retry",
    summary="Retry a failed or rejected image",
    responses={200: json_body("The image waits again.", _ACTION), **problem_responses(404, 409)},
)
def retry_image(image_id: ImageId, context: Context, services: Services, principal: CurrentPrincipal) -> Response:
    """Set a failed or rejected image to `received`. Its attempts are counted from zero again."""
    wanted = ImageFilter(image_ids=(image_id,), states=("failed", "rejected"))
    found = next(iter(queries.retriable(context.database, wanted)), None)
    if found is None:
        raise _cannot(context, image_id, "only a failed or rejected image can be retried.")
    if found.replaced:
        raise _conflict(
            f"Image {image_id} cannot be retried: a newer file at the same place is registered as another image.",
            image_id,
        )
    if is_file_gone(found, context.settings):
        raise _conflict(f"The file of image {image_id} is gone: send the file again.", image_id)
    if not ledger.retry(context.database, [image_id], actor=principal.name, now=context.clock()):
        raise _conflict(
            f"Another request has retried or purged image {image_id} meanwhile: read its state again.", image_id
        )
    services.notify_dispatcher()
    return json_response({"image_id": image_id, "state": "received", "links": {"self": f"/v1/images/{image_id}"}})


@router.post(
    "/v1/images/{image_id}/cancel",
    summary="Cancel the analysis of an image that waits",
    responses={200: json_body("The image is rejected (cancelled).", _ACTION), **problem_responses(404, 409)},
)
def cancel_image(image_id: ImageId, context: Context, services: Services, principal: CurrentPrincipal) -> Response:
    """Reject an image with the reason `cancelled`, unless a worker has begun to analyse it. A retry undoes this."""
    if not ledger.cancel(context.database, [image_id], actor=principal.name, now=context.clock()):
        raise _cannot(context, image_id, "only an image that waits can be cancelled.")
    services.wake_waiters()
    return json_response({"image_id": image_id, "state": "rejected", "links": {"self": f"/v1/images/{image_id}"}})


@router.post(
    "/v1/pause",
    summary="Pause dispatch",
    responses={200: json_body("The active pauses.", _PAUSES), **problem_responses(409)},
)
def pause_dispatch(wanted: PauseRequest, context: Context, principal: CurrentPrincipal) -> Response:
    """Stop forming batches until `resume`. Workers finish the batches that are formed; other images wait."""
    detail = visible(wanted.why)[:500]
    if not ledger.pause(context.database, Cause.PERSON, detail=detail, actor=principal.name, now=context.clock()):
        raise Problem(HTTPStatus.CONFLICT, "Dispatch is paused already: see `pauses` of /v1/status.")
    return _pauses(context)


@router.post(
    "/v1/resume",
    summary="End pauses",
    responses={200: json_body("The pauses that are still active.", _PAUSES), **problem_responses()},
)
def resume_dispatch(
    context: Context, services: Services, principal: CurrentPrincipal, wanted: ResumeRequest | None = None
) -> Response:
    """End the pauses with the given causes; without causes, end all pauses except those with the cause `hours`."""
    causes = (wanted.causes if wanted else None) or ENDED_BY_PEOPLE
    ledger.end_pauses(context.database, causes, actor=principal.name, now=context.clock())
    services.notify_dispatcher()
    return _pauses(context)


def _pauses(context: Context) -> Response:
    return json_response({"paused": [pause.cause.value for pause in queries.pauses(context.database)]})


def _cannot(context: Context, image_id: int, why: str) -> Problem:
    row = next(queries.images(context.database, ImageFilter(image_ids=(image_id,))), None)
    if row is None:
        return no_image(image_id)
    return _conflict(f"Image {image_id} is {row['state']}: {why}", image_id)


def _conflict(detail: str, image_id: int) -> Problem:
    return Problem(HTTPStatus.CONFLICT, detail, image_id=image_id)
