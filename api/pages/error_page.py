"""Answer errors with a page for people, and with problem+json for programs."""

from http import HTTPStatus

from fastapi import Request
from fastapi.responses import Response
from sqlalchemy.exc import SQLAlchemyError

from api.pages.page_user import PageUser, anonymous_user, any_user, page
from api.problems import NO_SUCH_ADDRESS, Problem, problem_response
from nightread.errors import StopWork

_OF_PROGRAMS = ("/v1", "/dicom-web", "/openapi.json", "/metrics")
_METHOD = "This address does not accept such a request: open the page, and try from there."


async def respond(request: Request, problem: Problem) -> Response:
    """Return problem+json if a program asks, else a page.

    A program uses an address of `_OF_PROGRAMS`, or accepts JSON but not HTML.
    """
    return await error_page(request, problem) if _is_of_people(request) else problem_response(problem)


async def error_page(request: Request, problem: Problem) -> Response:
    """Return a page that says what is wrong and what to do."""
    status = HTTPStatus(problem.status)
    user = getattr(request.state, "user", None) or await _user(request)
    return page(
        request,
        user,
        "problem.html.j2",
        status=status,
        headers=problem.headers,
        here="/",  # an error page contains no text of the request
        phrase=status.phrase,
        text=_text(problem, status),
    )


def _is_of_people(request: Request) -> bool:
    path = request.url.path
    if any(path == prefix or path.startswith(f"{prefix}/") for prefix in _OF_PROGRAMS):
        return False
    accepted = request.headers.get("accept", "").lower()
    return "json" not in accepted or "html" in accepted


def _text(problem: Problem, status: HTTPStatus) -> str:
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        return _METHOD
    return "There is no such page." if problem.detail == NO_SUCH_ADDRESS else problem.detail


async def _user(request: Request) -> PageUser:
    """Return the user of the page, or a user without a key if the request was refused before its key was checked.

    A key cannot be checked while the database is unavailable.
    """
    if not hasattr(request.state, "principal"):
        return anonymous_user(request)
    try:
        return await any_user(request)
    except (SQLAlchemyError, StopWork):
        return anonymous_user(request)
