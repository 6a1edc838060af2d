"""Define /v1/images: send images, and read one with its result."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.access import CurrentPrincipal, Permission, require
from api.context import Context
from api.images.details import image_details
from api.images.prefer import LONGEST_WAIT_SECONDS, waiting
from api.images.receive import FORM, Receiving
from api.images.responses import SubmissionResponses
from api.json_response import json_response
from api.multipart import media_type
from api.openapi import IMAGE_RESPONSES, SUBMIT_BODY, SUBMIT_RESPONSES
from api.parameters import only
from api.problems import no_image
from api.read_audit import note_read
from api.services import Services
from db.tables import UNFINISHED

router = APIRouter(tags=["images"])

LARGEST_ID = 2**63 - 1
ImageId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The `image_id` of an image.")]
WaitSeconds = Annotated[
    float | None,
    Query(ge=0, le=LONGEST_WAIT_SECONDS, description="Seconds to wait for the outcome, like `Prefer: wait=`."),
]


@router.post(
    "/v1/images",
    summary="Send an image, and get its result",
    dependencies=[require(Permission.SUBMIT), only("wait")],
    responses=SUBMIT_RESPONSES,
    openapi_extra={"requestBody": SUBMIT_BODY},
)
async def submit_images(
    request: Request, context: Context, services: Services, principal: CurrentPrincipal, wait: WaitSeconds = None
) -> Response:
    """Store the file, analyse it, and return its result. An image whose client waits is urgent.

    The body is one DICOM file, PNG, JPEG or archive, or a form (`multipart/form-data`) with several files. The response
    waits for the result as long as `Prefer: wait=SECONDS` says (RFC 7240), at most 60 s. If there is no result by then,
    or with `Prefer: respond-async`, the status is 202, and `Location` is the address of the result. A key needs the
    scope `read` to read that address. The image is durable before the response begins.
    """
    time_to_wait = waiting(request.headers.getlist("prefer"), wait, context.settings.api_wait_seconds)
    receiving = Receiving(
        intake=services.intake,
        principal=principal,
        limit_bytes=context.settings.max_file_bytes,
        is_awaited=time_to_wait.seconds > 0,
    )
    responses = SubmissionResponses(
        context.database,
        services.waiters,
        services.submit_threads,
        may_read=Permission.READ in principal.permissions,
    )
    if media_type(request.headers.get("content-type"))[0] == FORM:
        return await responses.of_several(await receiving.form_files(request), time_to_wait)
    return await responses.of_one(await receiving.raw_body(request), time_to_wait)


@router.get(
    "/v1/images/{image_id}",
    summary="Read one image",
    dependencies=[require(Permission.READ), only("wait")],
    responses=IMAGE_RESPONSES,
)
async def read_image(
    image_id: ImageId,
    request: Request,
    context: Context,
    services: Services,
    principal: CurrentPrincipal,
    wait: WaitSeconds = None,
) -> Response:
    """Return an image with the results of its frames, the digest of its model and its timeline.

    With `Prefer: wait=SECONDS` the response waits for the outcome of an unfinished image.
    """
    time_to_wait = waiting(request.headers.getlist("prefer"), wait, 0.0)
    found: dict[str, Any] | None = await run_in_threadpool(image_details, context.database, context.settings, image_id)
    if found and found["state"] in UNFINISHED and time_to_wait.seconds:
        await services.waiters.wait([image_id], time_to_wait.seconds)
        found = await run_in_threadpool(image_details, context.database, context.settings, image_id)
    if found is None:
        raise no_image(image_id)
    await run_in_threadpool(note_read, context, principal, "image", image_id)
    return await run_in_threadpool(json_response, found, headers=time_to_wait.headers)
