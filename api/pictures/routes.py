"""Define the routes of pictures: preview.png, thumbnail.png and heatmap.png of an image."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib.util import find_spec
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api.access import CurrentPrincipal, Permission, Principal, require
from api.context import ApiContext, Context, context_of
from api.openapi import problem_responses
from api.original_files import OriginalPlace
from api.parameters import only
from api.pictures.finding import (
    THUMBNAIL_SIDE,
    find_image,
    label_to_explain,
    result_of,
    showable_place,
    thumbnail_request,
)
from api.pictures.negotiation import matches, media_type_for
from api.pictures.parameters import viewport_of, window_of
from api.pictures.picture import DEFAULT_QUALITY, JPEG, AnyRequest, HeatMapRequest, NoPictureError, PictureRequest
from api.pictures.pictures import Pictures, key_of
from api.pictures.pool import BusyError
from api.pictures.responses import no_picture, not_modified, picture_response
from api.problems import Problem
from api.read_audit import note_read
from db.queries.originals import Original
from imaging.view import HEADER, View
from models.runtimes.load import is_installed
from nightread.runtime_names import RUNTIMES

Value = TypeVar("Value")
_LARGEST_ID = 2**63 - 1
_PROBLEMS = {
    403: "The pixels may show names (see the setting show_burned_in), or the key has no permission.",
    404: "There is no such image.",
    406: "The client accepts neither PNG nor JPEG.",
    409: "The original was changed, was never read, or has no result to explain.",
    410: "The original was removed.",
    422: "A parameter is wrong, or the image cannot be decoded.",
    503: "Too many pictures are requested at once, or the storage does not answer: try again.",
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}, "image/jpeg": {}}, "description": "The picture."},
    304: {"description": "The client has the picture already (`If-None-Match`)."},
    **{
        status: {**described, "description": _PROBLEMS.get(int(status), described["description"])}
        for status, described in problem_responses(*_PROBLEMS).items()
    },
}


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    pictures: Pictures | None = getattr(app.state, "pictures", None)
    if pictures is not None:
        pictures.close()


async def pictures_of(request: Request) -> Pictures:
    """Return the object that makes pictures. It is created at the first request."""
    state = request.app.state
    if not hasattr(state, "pictures"):
        context = await context_of(request)
        state.pictures = Pictures(context.settings, context.database)
    pictures: Pictures = state.pictures
    return pictures


router = APIRouter(prefix="/v1/images", tags=["pictures"], lifespan=_lifespan, dependencies=[require(Permission.READ)])
AnyPictures = Annotated[Pictures, Depends(pictures_of)]
ImageId = Annotated[int, Path(ge=1, le=_LARGEST_ID, description="Id of the image.")]
FrameNumber = Annotated[int | None, Query(ge=1, le=100_000, description="Number of the frame, from 1.")]
WindowText = Annotated[
    str,
    Query(
        max_length=100,
        description="`center,width` or `center,width,function` in modality units, `header`, `full`, or for CT `lung`, "
        "`bone`, `brain` or `soft-tissue`.",
        examples=["header", "40,400", "lung"],
    ),
]
ViewportText = Annotated[
    str | None,
    Query(max_length=200, description="`width,height` or `width,height,left,top,width,height` (PS3.18)."),
]
Known = Annotated[str | None, Header(alias="If-None-Match", max_length=4096)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """The image that a client asks for, the client, and the client's header If-None-Match (`known`)."""

    image_id: int
    principal: Principal
    context: ApiContext
    pictures: Pictures
    known: str | None

    def find(self) -> tuple[Original, OriginalPlace]:
        """Return the row of the image and the place of its original. Raises NoPictureError."""
        image = find_image(self.context.database, self.image_id)
        return image, showable_place(image, self.context.settings)

    @property
    def show_burned_in(self) -> bool:
        return self.context.settings.show_burned_in


async def _asked(
    image_id: ImageId, context: Context, pictures: AnyPictures, principal: CurrentPrincipal, known: Known = None
) -> _Asked:
    return _Asked(image_id=image_id, principal=principal, context=context, pictures=pictures, known=known)


async def _view(window: WindowText = HEADER, viewport: ViewportText = None) -> View:
    return View(
        window=_parsed("window", window_of, window),
        viewport=None if viewport is None else _parsed("viewport", viewport_of, viewport),
    )


Asked = Annotated[_Asked, Depends(_asked)]
WantedView = Annotated[View, Depends(_view)]


@router.get(
    "/{image_id}/preview.png",  # noqa: FAST003 - see _asked
    response_class=Response,
    responses=_ANSWERS,
    dependencies=[only("window", "viewport", "frame", "quality")],
)
async def preview(
    asked: Asked,
    view: WantedView,
    *,
    frame: FrameNumber = None,
    quality: Annotated[int, Query(ge=1, le=100, description="Quality of JPEG.")] = DEFAULT_QUALITY,
    accept: Annotated[str | None, Header(max_length=4096)] = None,
) -> Response:
    """Return one frame of the original as PNG, or as JPEG if the header `Accept` prefers it."""
    media_type = media_type_for(accept)
    if media_type is None:
        raise Problem(HTTPStatus.NOT_ACCEPTABLE, "A preview is image/png or image/jpeg: change the header Accept.")
    _require_installed("cv2")

    def request() -> PictureRequest:
        _, place = asked.find()
        return PictureRequest(
            place=place,
            view=view,
            frame="first" if frame is None else frame - 1,
            media_type=media_type,
            quality=quality if media_type == JPEG else DEFAULT_QUALITY,
            show_burned_in=asked.show_burned_in,
        )

    return await _audited(asked, await _answer(asked, request))


@router.get(
    "/{image_id}/thumbnail.png",  # noqa: FAST003 - see _asked
    response_class=Response,
    responses=_ANSWERS,
    dependencies=[only("frame", "size")],
)
async def thumbnail(
    asked: Asked,
    *,
    frame: FrameNumber = None,
    size: Annotated[int, Query(ge=16, le=512, description="Largest side in pixels.")] = THUMBNAIL_SIDE,
) -> Response:
    """Return a small picture of `frame`.

    Without `frame`, it shows the frame with the finding, or the middle frame if no frame has a finding.
    """
    _require_installed("cv2")

    def request() -> PictureRequest:
        context, index = asked.context, None if frame is None else frame - 1
        image = find_image(context.database, asked.image_id)
        return thumbnail_request(context.database, image, context.settings, side=size, frame=index)

    return await _answer(asked, request, keep=True)


@router.get(
    "/{image_id}/heatmap.png",  # noqa: FAST003 - see _asked
    response_class=Response,
    responses=_ANSWERS,
    dependencies=[only("window", "viewport", "frame", "label", "overlay")],
)
async def heat_map(
    asked: Asked,
    view: WantedView,
    *,
    frame: FrameNumber = None,
    label: Annotated[str | None, Query(max_length=100, description="Label to explain [the finding].")] = None,
    overlay: Annotated[Literal["0", "1"], Query(description="1: heat over the picture; 0: a transparent layer.")] = "0",
) -> Response:
    """Return a map of the pixels that are evidence for a label.

    Without `frame`, it shows the frame with the highest score. The header `Nightread-Method` names the method: Grad-CAM
    or occlusion.
    """
    if not any(map(is_installed, RUNTIMES)):
        _require_installed("onnxruntime")

    def request() -> HeatMapRequest:
        image, place = asked.find()
        analysed = result_of(asked.context.database, image)
        return HeatMapRequest(
            place=place,
            bundle=str(analysed.bundle),
            digest=str(analysed.digest),
            label=label_to_explain(analysed, label),
            view=view if overlay == "1" else View(viewport=view.viewport),
            frame=None if frame is None else frame - 1,
            overlay=overlay == "1",
            show_burned_in=asked.show_burned_in,
        )

    return await _audited(asked, await _answer(asked, request, keep=True))


async def _answer(asked: _Asked, request_of: Callable[[], AnyRequest], *, keep: bool = False) -> Response:
    """Respond with 304, with a picture from the cache, or with a new picture. This does not block the event loop."""
    try:
        request = await run_in_threadpool(request_of)
        etag = f'"{key_of(request)}"'
        if matches(etag, asked.known):
            return not_modified(etag)
        picture = await run_in_threadpool(asked.pictures.cached, request) if keep else None
        if picture is None:
            # Shielded, because equal requests share the picture: if one client disconnects, the others still get it.
            picture = await asyncio.shield(asyncio.wrap_future(asked.pictures.make(request, keep=keep)))
    except NoPictureError as error:
        raise no_picture(error, asked.image_id) from None
    except BusyError:
        detail = "Too many pictures are being made: try again in a few seconds."
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "3"}) from None
    return picture_response(picture, etag, asked.image_id, notice=asked.context.settings.not_for_diagnosis)


async def _audited(asked: _Asked, response: Response) -> Response:
    """Write to the audit table who read the image, and return the response.

    Thumbnails are returned without this entry, because a page shows many of them.
    """
    await run_in_threadpool(note_read, asked.context, asked.principal, "image", asked.image_id)
    return response


def _parsed(name: str, parse: Callable[[str], Value], text: str) -> Value:
    try:
        return parse(text)
    except ValueError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), parameter=name) from None


def _require_installed(package: str) -> None:
    if find_spec(package) is None:
        detail = f"The API cannot make this picture: install `nightread[worker]` on its host ({package} is missing)."
        raise Problem(HTTPStatus.NOT_IMPLEMENTED, detail)
