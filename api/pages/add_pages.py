"""Add the pages to the application."""

from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import Response

from api.access import Principal
from api.authentication import Authentication
from api.context import ApiContext
from api.pages import batches, failures, image, images, models_page, night, sign_in, static_files, studies
from api.pages.error_page import error_page
from api.pages.page_user import PageProblem, PageServices, SignInRequired, redirect, sign_in_path
from api.pages.session import Keys, SessionSigner
from api.problems import Problem
from nightread.site_key import load_secret

SECRET_FILE = "pages.key"  # noqa: S105 - the name of the file
_PARTS = (night, images, image, studies, failures, batches, models_page, sign_in, static_files)


@dataclass(frozen=True, slots=True)
class RunningKeys:
    """Looks up keys with the authentication of the running application."""

    app: FastAPI

    async def verify(self, key: str, client: str) -> Principal | None:
        """Return the principal of an active key, else None. Raises Problem 429 after too many wrong keys."""
        authentication: Authentication = self.app.state.services.authentication
        try:
            return await authentication.of_token(key, client)
        except Problem as problem:
            if problem.status is HTTPStatus.UNAUTHORIZED:
                return None
            raise PageProblem(problem.status, problem.detail) from None

    async def referred(self, reference: str) -> Principal | None:
        """Return the principal with this `Principal.reference`; None if its key is revoked or expired."""
        authentication: Authentication = self.app.state.services.authentication
        return await authentication.of_reference(reference)


def add_pages(app: FastAPI, context: ApiContext, keys: Keys | None = None) -> None:
    """Add the routes and the error pages, and load the secret that signs cookies."""
    signer = SessionSigner(load_secret(context.settings.state_dir / SECRET_FILE))
    app.state.pages = PageServices(signer=signer, keys=keys or RunningKeys(app))
    for part in _PARTS:
        app.include_router(part.router)
    app.add_exception_handler(PageProblem, _problem)
    app.add_exception_handler(SignInRequired, _sign_in)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, PageProblem)  # noqa: S101 - registered for this type
    return await error_page(request, Problem(error.status, error.text, headers=error.headers))


async def _sign_in(request: Request, _error: Exception) -> Response:
    return redirect(sign_in_path(request))
