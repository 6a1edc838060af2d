"""Serve the style sheet, the script and the icon of the pages."""

from http import HTTPStatus

from fastapi.responses import Response

from api.pages.page_route import page_router
from api.pages.page_user import PageProblem
from api.pages.rendering import STATIC

router = page_router()
_TYPES = {
    "nightread.css": "text/css; charset=utf-8",
    "nightread.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_HEADERS = {
    "Cache-Control": "public, max-age=86400, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}


@router.get("/static/{name}")
def static_file(name: str) -> Response:
    """Return a static file of the pages. Static files need no key."""
    if name not in _TYPES:
        raise PageProblem(HTTPStatus.NOT_FOUND, "There is no such file.")
    return Response((STATIC / name).read_bytes(), media_type=_TYPES[name], headers=_HEADERS)
