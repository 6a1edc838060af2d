"""Define who may do what: scopes, and the caller of a request."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from fastapi.params import Depends as DependsParameter

from api.problems import Problem


class Scope(StrEnum):
    """What a key permits."""

    READ = "read"
    SUBMIT = "submit"
    OPERATE = "operate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who sent a request."""

    name: str
    """The name of the key, as it is written to the audit table."""
    scopes: frozenset[Scope]
    is_signed_in: bool = False
    """True in a browser, whose cookie proves the key: actions then need a token against forged requests (CSRF)."""


LOCAL = Caller(name="local", scopes=frozenset(Scope))
"""The caller on a loopback interface of an API without any key."""


def caller_of(request: Request) -> Caller:
    """Return the caller, whom the middleware of authentication has found."""
    caller: Caller = request.state.caller
    return caller


CurrentCaller = Annotated[Caller, Depends(caller_of)]
"""The type of a handler's parameter that receives the caller."""


def require(scope: Scope) -> DependsParameter:
    """Return a dependency of a route that raises Problem 403 for a caller without this scope."""

    def check(caller: CurrentCaller) -> None:
        if scope not in caller.scopes:
            raise Problem(HTTPStatus.FORBIDDEN, f"This key has no scope `{scope}`: use another key.")

    checked: Callable[[Caller], None] = check
    return DependsParameter(dependency=checked)
