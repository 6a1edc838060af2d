"""Make the application: routes, guards and error handlers."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import FastAPI, Request, Response

from api.access import LOCAL
from api.context import ApiContext
from api.pictures.routes import router as pictures_router
from api.problems import Problem, add_problem_handlers, problem_response
from nightread import __version__
from nightread.known_hosts import is_known_host

Next = Callable[[Request], Awaitable[Response]]


def make_app(context: ApiContext) -> FastAPI:
    """Return the ASGI application; it opens and closes nothing of the context."""
    app = FastAPI(title="nightread", version=__version__, docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.state.context = context
    add_problem_handlers(app)
    app.include_router(pictures_router)
    app.middleware("http")(_identify_principal)
    app.middleware("http")(_require_known_host)
    return app


async def _require_known_host(request: Request, call_next: Next) -> Response:
    settings = request.app.state.context.settings
    if not is_known_host(request.headers.getlist("host"), settings.api_address, settings.api_hosts):
        return problem_response(
            Problem(HTTPStatus.FORBIDDEN, "The API is not known by this host name: add it to the setting api_hosts.")
        )
    return await call_next(request)


async def _identify_principal(request: Request, call_next: Next) -> Response:
    request.state.principal = LOCAL
    return await call_next(request)
