"""Turn pictures and errors into HTTP responses."""

from http import HTTPStatus
from urllib.parse import quote

from fastapi import Response

from api.pictures.picture import JPEG, NoPictureError, Picture
from api.problems import Problem

NOTICE = "not for diagnosis"


CACHING = {"Cache-Control": "private, max-age=300", "Vary": "Accept, Authorization, Cookie"}
"""Headers that let a browser keep a picture for a short time. If the login changes, the browser asks again."""


def not_modified(etag: str) -> Response:
    """Return the response to a client that already has the picture."""
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag, **CACHING})


def picture_response(picture: Picture, etag: str, image_id: int, *, notice: bool) -> Response:
    """Return the response. Facts about the picture are in headers; nothing is written into the pixels."""
    suffix = "jpg" if picture.media_type == JPEG else "png"
    headers = {
        "ETag": etag,
        **CACHING,
        "Content-Disposition": f'inline; filename="image-{image_id}.{suffix}"',
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        **{f"Nightread-{name.title()}": quote(value, safe=" ,/.-+") for name, value in picture.details.items()},
    }
    if notice:
        headers["Nightread-Notice"] = NOTICE
    return Response(picture.content, media_type=picture.media_type, headers=headers)


def no_picture(error: NoPictureError, image_id: int) -> Problem:
    """Return the problem for this error. It names the image by its id."""
    members: dict[str, object] = {"image_id": image_id}
    if error.reason is not None:
        members["reason"] = error.reason
    seconds = "10" if error.reason is None else "60"
    headers = {"Retry-After": seconds} if error.status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return Problem(error.status, error.detail, headers=headers, **members)
