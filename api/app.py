"""Make the application: routes, guards and error handlers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from api.context import ApiContext
from api.guards import Guards
from api.health import router as health_router
from api.images.routes import router as images_router
from api.metrics.routes import router as metrics_router
from api.openapi import described
from api.pages.add_pages import add_pages
from api.pages.error_page import respond
from api.pictures.routes import router as pictures_router
from api.problems import add_problem_handlers
from api.results.actions import router as actions_router
from api.results.event_stream import router as events_router
from api.results.lists import router as lists_router
from api.results.routes import router as results_router
from api.services import running_services
from api.stow.routes import router as stow_router
from nightread import __version__


def make_app(context: ApiContext) -> FastAPI:
    """Return the ASGI application. The caller opens the context's database with `durable=True`, and closes it."""
    app = FastAPI(
        title="nightread",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        lifespan=_lifespan,
    )
    app.state.context = context
    app.openapi = partial(described, app)  # type: ignore[method-assign]
    add_problem_handlers(app, respond)
    app.add_middleware(Guards, settings=context.settings, respond=respond)
    app.include_router(health_router)
    app.include_router(images_router)
    app.include_router(results_router)
    app.include_router(lists_router)
    app.include_router(metrics_router)
    app.include_router(events_router)
    app.include_router(actions_router)
    app.include_router(stow_router)
    app.include_router(pictures_router)
    add_pages(app, context)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with running_services(app.state.context) as services:
        app.state.services = services
        yield
