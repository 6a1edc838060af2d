"""Define the routes of pages. Their errors are shown as pages too, because people read them."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError

from api.pages.page_user import PageProblem
from api.problems import Problem, database_problem


class PageRoute(APIRoute):
    """A route whose problems, such as an unavailable database, are shown as a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, with problems turned into pages."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except Problem as problem:
                raise _shown(problem) from None
            except SQLAlchemyError as error:
                raise _shown(database_problem(error)) from None

        return handler


def _shown(problem: Problem) -> PageProblem:
    return PageProblem(HTTPStatus(problem.status), problem.detail, headers=problem.headers)


def page_router() -> APIRouter:
    """Return a router whose routes are not in the OpenAPI description."""
    return APIRouter(route_class=PageRoute, include_in_schema=False)
