"""Answer errors with problem+json (RFC 9457), without patient data and without text of the request."""

import logging
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
    """Log what failed, and return the problem for a request that needs the database."""
    log.warning("a request failed, since the database failed: %s", error_messages.describe(error))
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "The database is unavailable: try again.", headers={"Retry-After": "5"}
    )


def stopped_problem(error: StopWork) -> Problem:
    """Log why the database must not be used (its file was replaced, or it has another schema); return the problem."""
    log.error("a request failed: %s", error)
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The database cannot be used; see the API's log.")


def add_problem_handlers(app: FastAPI) -> None:
    """Make all errors of the application problems."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(SQLAlchemyError, _database)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(StopWork, _stopped)
    app.add_exception_handler(Exception, _unexpected)


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - registered for this type
    return problem_response(error)


async def _invalid(_request: Request, error: Exception) -> Response:
    """Name each wrong parameter without its value, which may identify a patient."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found = [{"parameter": ".".join(map(str, entry["loc"])), "message": entry["msg"]} for entry in error.errors()]
    return problem_response(
        Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The request has wrong parameters: see `errors`.", errors=found)
    )


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    status = HTTPStatus(error.status_code)
    headers = dict(error.headers) if error.headers else None
    return problem_response(Problem(status, str(error.detail), headers=headers))


async def _database(_request: Request, error: Exception) -> Response:
    assert isinstance(error, SQLAlchemyError)  # noqa: S101
    return problem_response(database_problem(error))


async def _stopped(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StopWork)  # noqa: S101
    return problem_response(stopped_problem(error))


async def _gone(_request: Request, _error: Exception) -> Response:
    """Answer nobody: the client closed the connection while it sent its body."""
    return problem_response(Problem(HTTPStatus.BAD_REQUEST, "The body is incomplete."))


async def _unexpected(_request: Request, error: Exception) -> Response:
    """Log the place only: the text of an error may quote a file or a row."""
    log.error("unexpected %s at %s", type(error).__name__, place_of(error))
    return problem_response(
        Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "An unexpected error; the log of the API names its place.")
    )
