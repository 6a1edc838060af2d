"""Sign in with a key, sign out, and choose dark or light."""

from datetime import timedelta
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import Response

from api.context import Context
from api.pages.page_route import page_router
from api.pages.page_user import (
    THEME_COOKIE,
    THEMES,
    AnyUser,
    checked_form,
    local_path,
    page,
    redirect,
    set_session,
)

router = page_router()
_YEAR = timedelta(days=365)


@router.get("/sign-in")
def form(request: Request, user: AnyUser, next: str = "/") -> Response:  # noqa: A002 - the usual name
    """Show the form for signing in."""
    return page(request, user, "sign_in.html.j2", next=local_path(next), problem="")


@router.post("/sign-in")
async def sign_in(request: Request, context: Context, user: AnyUser) -> Response:
    """Check the key, and set a cookie that contains only the id of the key."""
    fields = await checked_form(request, user)
    services = request.app.state.pages
    client = request.client.host if request.client else ""
    principal = await services.keys.verify(fields.get("key", "").strip(), client)
    if principal is None:
        return page(
            request,
            user,
            "sign_in.html.j2",
            status=HTTPStatus.UNAUTHORIZED,
            next=local_path(fields.get("next", "/")),
            problem="This key is not valid: it is unknown, expired or revoked.",
        )
    response = redirect(fields.get("next", "/"))
    set_session(request, response, services.signer.new(principal.reference, context.clock()))
    return response


@router.post("/sign-out")
async def sign_out(request: Request, context: Context, user: AnyUser) -> Response:
    """Replace the cookie by a cookie without a key."""
    await checked_form(request, user)
    response = redirect("/sign-in")
    set_session(request, response, request.app.state.pages.signer.new("", context.clock()))
    return response


@router.post("/theme")
async def theme(request: Request, user: AnyUser) -> Response:
    """Change to the next of the three themes: that of the system, dark, light."""
    fields = await checked_form(request, user)
    present = request.cookies.get(THEME_COOKIE, THEMES[0])
    following = THEMES[(THEMES.index(present) + 1) % len(THEMES)] if present in THEMES else THEMES[0]
    response = redirect(fields.get("back", "/"))
    response.set_cookie(THEME_COOKIE, following, max_age=int(_YEAR.total_seconds()), samesite="strict", httponly=True)
    return response
