"""Turn errors into problem objects (RFC 9457) that quote no patient data and no text of the request."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from db import error_messages
from nightread.errors import StopWork
from nightread.log import place_of

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - named as in RFC 9457
    """Ends a request with an error status. `detail` says what is wrong and what to do.

    `members` are added to the problem object (RFC 9457, section 3.2), such as the id of an image.
    """

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: dict[str, str] | None = None, **members: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.members = members


def no_image(image_id: int) -> Problem:
    """Return the problem for an id that no image has."""
    return Problem(HTTPStatus.NOT_FOUND, f"There is no image {image_id}.", image_id=image_id)


NO_SUCH_ADDRESS = "There is nothing at this address; /openapi.json lists the addresses of the API."
Respond = Callable[[Request, Problem], Awaitable[Response]]
"""A function that turns a problem into a response."""


def problem_response(problem: Problem) -> Response:
    """Return the response for a problem."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        **problem.members,
    }
    return JSONResponse(content, problem.status.value, headers=problem.headers, media_type=MEDIA_TYPE)


def database_problem(error: SQLAlchemyError) -> Problem:
    """Log the database error, and return the problem for the request that failed with it."""
    log.warning("a request failed, since the database failed: %s", error_messages.describe(error))
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "The database is unavailable: try again.", headers={"Retry-After": "5"}
    )


def stopped_problem(error: StopWork) -> Problem:
    """Log why the database must not be used (for example, it has another schema), and return the problem."""
    log.error("a request failed: %s", error)
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The database cannot be used; see the API's log.")


def add_problem_handlers(app: FastAPI, respond: Respond) -> None:
    """Register handlers that turn each error of the application into a problem, and the problem into a response."""
    for kind, problem_of in _PROBLEMS.items():
        app.add_exception_handler(kind, _handler(problem_of, respond))


def _handler(problem_of: Callable[[Any], Problem], respond: Respond) -> Callable[[Request, Exception], Any]:
    async def handle(request: Request, error: Exception) -> Response:
        return await respond(request, problem_of(error))

    return handle


def _invalid(error: RequestValidationError) -> Problem:
    """Return a problem that names each wrong parameter, but not its value, which may identify a patient."""
    found = [{"parameter": ".".join(map(str, entry["loc"])), "message": _message(entry)} for entry in error.errors()]
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The request has wrong parameters: see `errors`.", errors=found)


def _message(entry: Mapping[str, Any]) -> str:
    if entry["loc"] == ("body",) and entry["type"] != "missing":  # such as the form that curl sends by default
        return "Must be a JSON object, sent with the header `Content-Type: application/json`"
    return str(entry["msg"]).removeprefix("Value error, ")


def _of_framework(error: HTTPException) -> Problem:
    """Return the problem for an error of the framework, which has only the phrase of its status as its detail."""
    status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
    detail = str(error.detail)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = headers.get("Allow", "").replace("GET", "GET, HEAD")  # api.guards answers HEAD
        headers["Allow"] = allowed
        detail = f"This address takes {allowed} only." if allowed else detail
    elif status is HTTPStatus.NOT_FOUND and detail == status.phrase:
        detail = NO_SUCH_ADDRESS
    return Problem(status, detail, headers=headers)


def _gone(_error: ClientDisconnect) -> Problem:
    """Return a problem that no client will receive: the client closed the connection while it sent its body."""
    return Problem(HTTPStatus.BAD_REQUEST, "The body is incomplete.")


def _unexpected(error: Exception) -> Problem:
    """Log only the type of the error and its place in the code, because its text may quote a file or a row."""
    log.error("unexpected %s at %s", type(error).__name__, place_of(error))
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "An unexpected error occurred: see the API's log.")


_PROBLEMS: dict[type[Exception], Callable[[Any], Problem]] = {
    Problem: lambda problem: problem,
    RequestValidationError: _invalid,
    HTTPException: _of_framework,
    SQLAlchemyError: database_problem,
    ClientDisconnect: _gone,
    StopWork: stopped_problem,
    Exception: _unexpected,
}
