"""Define /dicom-web/studies, the store transaction of DICOMweb."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from api.accept import accept_of, accepted
from api.access import CurrentPrincipal, Permission, require
from api.bodies import body_chunks
from api.context import Context
from api.multipart import media_type, part_events
from api.openapi import problem_responses
from api.problems import Problem
from api.services import Services
from api.stow.response import JSON, XML, as_json, as_xml, store_response
from api.stow.store import InstanceStore

router = APIRouter(tags=["dicomweb"])

_RELATED, _DICOM = "multipart/related", "application/dicom"
_TYPES = {JSON: JSON, XML: XML, "application/json": JSON}
"""Maps the media types that clients may accept to the types of the response."""
_StudyUid = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[0-9.]+$")]
_BODY: dict[str, Any] = {
    "required": True,
    "content": {'multipart/related; type="application/dicom"': {"schema": {"type": "string", "format": "binary"}}},
}
_DESCRIBED = {JSON: {"schema": {"type": "object"}}, XML: {"schema": {"type": "string"}}}
_OPTIONS: dict[str, Any] = {
    "dependencies": [require(Permission.SUBMIT)],
    "openapi_extra": {"requestBody": _BODY},
    "responses": {
        200: {"description": "All instances are stored.", "content": _DESCRIBED},
        202: {"description": "Some instances are stored; the others have a FailureReason.", "content": _DESCRIBED},
        409: {"description": "No instance is stored; each has a FailureReason.", "content": _DESCRIBED},
        **problem_responses(400, 406, 408, 415, 507),
    },
    "response_class": Response,
}


@router.post("/dicom-web/studies", summary="Store instances (STOW-RS)", **_OPTIONS)
async def store_instances(
    request: Request, context: Context, services: Services, principal: CurrentPrincipal
) -> Response:
    """Store DICOM files durably. They are analysed with the other images of the night; /v1 returns their results.

    The response follows DICOM PS3.18, section 10.5. Each instance in its ReferencedSOPSequence is durable.
    """
    return await _store(
        request, InstanceStore(services.intake, principal, study=None, limit_bytes=context.settings.max_file_bytes)
    )


@router.post("/dicom-web/studies/{study_instance_uid}", summary="Store instances of one study (STOW-RS)", **_OPTIONS)
async def store_study(
    study_instance_uid: _StudyUid, request: Request, context: Context, services: Services, principal: CurrentPrincipal
) -> Response:
    """Store DICOM files of one study. Files of another study are not stored, and get the failure reason A900."""
    return await _store(
        request,
        InstanceStore(
            services.intake, principal, study=study_instance_uid, limit_bytes=context.settings.max_file_bytes
        ),
    )


async def _store(request: Request, store: InstanceStore) -> Response:
    style = _response_type(accept_of(request.headers))
    kind, options = media_type(request.headers.get("content-type"))
    if kind != _RELATED or _contained_type(options) != _DICOM:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f'Send DICOM files as {_RELATED}; type="{_DICOM}" (PS3.18, 10.5).'
        )
    parts = await store.store(part_events(body_chunks(request, None), options.get("boundary")))
    if not parts:
        raise Problem(HTTPStatus.BAD_REQUEST, "The body has no instance.")
    stored = sum(part.failure is None for part in parts)
    if not stored and store.problem is not None:
        raise store.problem
    status = HTTPStatus.OK if stored == len(parts) else HTTPStatus.ACCEPTED if stored else HTTPStatus.CONFLICT
    attributes = store_response(parts)
    return Response(as_xml(attributes) if style == XML else as_json(attributes), status.value, media_type=style)


def _response_type(accept: str) -> str:
    """Return the media type of the response that the client prefers. Raises Problem 406."""
    found = accepted(accept, tuple(_TYPES))
    if not found:
        raise Problem(HTTPStatus.NOT_ACCEPTABLE, f"The response is {JSON} or {XML}: change the header Accept.")
    return _TYPES[found[0]]


def _contained_type(options: Mapping[str, str]) -> str:
    """Return the parameter `type` without parameters of its own, such as `transfer-syntax`."""
    return options.get("type", _DICOM).partition(";")[0].strip().lower()
