"""Find the user of a page, check the tokens of forms, and return pages with security headers."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import ANONYMOUS, Permission, Principal
from api.context import ApiContext
from api.pages.rendering import render, static_version
from api.pages.session import COOKIE, LIFETIME, Keys, Session, SessionSigner
from nightread import __version__

THEME_COOKIE = "nightread_theme"
THEMES = ("auto", "dark", "light")
_FORM_BYTES, _FORM_FIELDS = 64 * 1024, 200
_FORM_TYPE = "application/x-www-form-urlencoded"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers of every page."""


class PageProblem(Exception):  # noqa: N818 - the counterpart of api.problems.Problem
    """A page cannot be shown. An error page shows the message, which says why and what to do."""

    def __init__(self, status: HTTPStatus, text: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers


class SignInRequired(Exception):  # noqa: N818 - not an error of the program
    """The browser must sign in first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PageServices:
    """The services that all pages share (`app.state.pages`)."""

    signer: SessionSigner
    keys: Keys


@dataclass(frozen=True, kw_only=True, slots=True)
class PageUser:
    """A person at a browser."""

    principal: Principal
    session: Session
    is_new: bool
    """True if the browser had no valid cookie."""


async def any_user(request: Request) -> PageUser:
    """Return the user of a page, signed in or not."""
    services, context = _services(request), _context(request)
    known = services.signer.read(request.cookies.get(COOKIE), context.clock())
    session = known or services.signer.new("", context.clock())
    principal: Principal = request.state.principal
    if session.key:
        principal = await services.keys.referred(session.key) or principal
    found = PageUser(principal=principal, session=session, is_new=known is None)
    request.state.user = found
    return found


def anonymous_user(request: Request) -> PageUser:
    """Return a user without a key."""
    session = _services(request).signer.new("", _context(request).clock())
    return PageUser(principal=ANONYMOUS, session=session, is_new=False)


async def reader(request: Request) -> PageUser:
    """Return the user of a page. Raises SignInRequired if there is no key, and PageProblem if the key may not read."""
    found = await any_user(request)
    if Permission.READ in found.principal.permissions:
        return found
    if found.principal.permissions:
        raise PageProblem(HTTPStatus.FORBIDDEN, "This key has no permission `read`: sign in with another key.")
    raise SignInRequired


AnyUser = Annotated[PageUser, Depends(any_user)]
Reader = Annotated[PageUser, Depends(reader)]


async def checked_form(request: Request, user: PageUser) -> dict[str, str]:
    """Read the fields of a form. Raises PageProblem if it is invalid, or if no page of this session sent it."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM_TYPE:
        raise PageProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The content type is wrong: send the form as {_FORM_TYPE}."
        )
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES:
            raise PageProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The form is too large.")
    try:
        fields = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_FORM_FIELDS))
    except ValueError:
        raise PageProblem(HTTPStatus.BAD_REQUEST, "The form cannot be read.") from None
    if not _services(request).signer.is_csrf_token(user.session, fields.get("csrf", "")):
        raise PageProblem(
            HTTPStatus.FORBIDDEN, "The form is too old, or it came from another site: go back, reload, try again."
        )
    return fields


def require_operator(user: PageUser) -> None:
    """Raise PageProblem if the key of this person does not have the permission `operate`."""
    if Permission.OPERATE not in user.principal.permissions:
        raise PageProblem(HTTPStatus.FORBIDDEN, "This needs a key with the permission `operate`.")


def page(
    request: Request,
    user: PageUser,
    template: str,
    *,
    section: str = "",
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> Response:
    """Return a page. `section` is the entry of the navigation that is marked as current."""
    services, context = _services(request), _context(request)
    theme = request.cookies.get(THEME_COOKIE, THEMES[0])
    text = render(
        template,
        context.nights,
        section=section,
        principal=user.principal,
        may_operate=Permission.OPERATE in user.principal.permissions,
        signed_in=bool(user.session.key),
        csrf=services.signer.csrf_token(user.session),
        theme=theme if theme in THEMES else THEMES[0],
        here=values.pop("here", _here(request)),
        searched=values.pop("searched", ""),
        now=context.clock(),
        not_for_diagnosis=context.settings.not_for_diagnosis,
        version=__version__,
        static_version=static_version(),
        page=True,
        with_pictures=True,
        identifiers=True,
        **values,
    )
    response = HTMLResponse(text, status.value, headers={**HEADERS, **(headers or {})})
    if user.is_new:
        set_session(request, response, user.session)
    return response


def set_session(request: Request, response: Response, session: Session) -> None:
    """Send the cookie of a session."""
    response.set_cookie(
        COOKIE,
        _services(request).signer.write(session),
        max_age=int(LIFETIME.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=_is_https(request),
    )


def _is_https(request: Request) -> bool:
    """Return whether the browser uses HTTPS to this server, or to a proxy that says so."""
    proxy, _, _ = request.headers.get("x-forwarded-proto", "").partition(",")  # each further proxy adds a value
    return "https" in (request.url.scheme, proxy.strip().lower())


def redirect(path: str) -> Response:
    """Return a redirection (303) to a path on this server. Other addresses are replaced by the first page."""
    return RedirectResponse(local_path(path), HTTPStatus.SEE_OTHER.value, headers={"Cache-Control": "no-store"})


def local_path(path: str) -> str:
    """Return a path on this server; `/` for anything else, such as `//other.example`."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_local else "/"


def sign_in_path(request: Request) -> str:
    """Return the address of the sign-in page. After signing in, the browser returns to this page."""
    back = _here(request)
    return f"/sign-in?next={quote(back, safe='')}" if back != "/" else "/sign-in"


def _here(request: Request) -> str:
    """Return path and query of a page that was requested by GET; `/` for other methods."""
    if request.method != "GET":
        return "/"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _services(request: Request) -> PageServices:
    services: PageServices = request.app.state.pages
    return services


def _context(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context
