"""Define who may do what: permissions, and the principal of a request.

Dependencies of routes are coroutines, here and elsewhere: others would take a thread each, and wait for it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from fastapi.params import Depends as DependsParameter

from api.problems import Problem
from nightread.api_keys import Permission

__all__ = (  # Permission is part of what routes need
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
"""The header `WWW-Authenticate` of a response 401 (RFC 9110, section 11.6.1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """Who sent a request."""

    name: str
    """The name of the key, as it is written to the audit table."""
    permissions: frozenset[Permission]
    key_id: int | None = None
    """The id of the key in the database; a later key may have the same name."""

    @property
    def reference(self) -> str:
        """Return the text that a cookie stores: the id of the key, or the name of a principal that has no key."""
        return self.name if self.key_id is None else str(self.key_id)


LOCAL = Principal(name="local", permissions=frozenset(Permission))
"""The principal on a loopback interface of an API without any key."""
ANONYMOUS = Principal(name="", permissions=frozenset())
"""The principal of a request without a key, where keys are required."""


async def principal_of(request: Request) -> Principal:
    """Return the principal that the authentication middleware has stored in the request."""
    principal: Principal = request.state.principal
    return principal


CurrentPrincipal = Annotated[Principal, Depends(principal_of)]
"""The type of a handler's parameter that receives the principal."""


def require(permission: Permission) -> DependsParameter:
    """Return a dependency of a route that raises Problem 401 without a key, and 403 for one without this permission."""

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
