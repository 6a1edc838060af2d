"""Define the principal of a request, and check its permissions.

The dependencies of all routes are coroutines. FastAPI would run plain functions in threads, and a request would wait
for a free thread.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from fastapi.params import Depends as DependsParameter

from api.problems import Problem
from nightread.api_keys import Permission

__all__ = (  # with Permission, because routes need it beside these names
    "ANONYMOUS",
    "CHALLENGE",
    "LOCAL",
    "CurrentPrincipal",
    "Permission",
    "Principal",
    "principal_of",
    "require",
)

CHALLENGE = 'Bearer realm="nightread", Basic realm="nightread", charset="UTF-8"'
"""The value of the header `WWW-Authenticate` in a response 401 (RFC 9110, section 11.6.1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """Who sent a request."""

    name: str
    """The name of the key; the audit table stores it as the actor."""
    permissions: frozenset[Permission]
    key_id: int | None = None
    """The id of the key in the database. Unlike the name, it is never given to a later key."""

    @property
    def reference(self) -> str:
        """Return the text that a cookie stores: the id of the key, or the name if the principal has no `key_id`."""
        return self.name if self.key_id is None else str(self.key_id)


LOCAL = Principal(name="local", permissions=frozenset(Permission))
"""The principal of a request without a key, on the loopback interface of an API that never had keys."""
ANONYMOUS = Principal(name="", permissions=frozenset())
"""The principal of a request without a key, if the API requires one."""


async def principal_of(request: Request) -> Principal:
    """Return the principal that the authentication middleware has stored in the request."""
    principal: Principal = request.state.principal
    return principal


CurrentPrincipal = Annotated[Principal, Depends(principal_of)]
"""The type of a handler's parameter that receives the principal."""


def require(permission: Permission) -> DependsParameter:
    """Return a dependency that raises Problem 401 if there is no key, and 403 if the key lacks the permission."""

    async def check(principal: CurrentPrincipal) -> None:
        if principal is ANONYMOUS:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "A key is required: send it as `Authorization: Bearer nr_...`; `nightread keys add` makes one.",
                headers={"WWW-Authenticate": CHALLENGE},
            )
        if permission not in principal.permissions:
            raise Problem(HTTPStatus.FORBIDDEN, f"This key has no permission `{permission}`: use another key.")

    checked: Callable[[Principal], Awaitable[None]] = check
    return DependsParameter(dependency=checked)
