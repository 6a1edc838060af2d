"""Refuse requests whose query has an unknown parameter, or several values of a parameter that can have one."""

from collections import Counter
from collections.abc import Collection
from http import HTTPStatus
from typing import get_origin

from fastapi import Request
from fastapi.params import Depends
from pydantic import BaseModel

from api.problems import Problem
from nightread.plain_text import visible

_IGNORED = "_"
"""Some libraries, such as jQuery, add this parameter with another value each time, so that no cache responds."""
_LONGEST_NAME = 40
_MOST_ERRORS = 20


def only(*names: str, several: Collection[str] = ()) -> Depends:
    """Return a dependency that raises Problem 422 for other parameters than `names` and `several`.

    A misspelled parameter would otherwise be ignored, and the client would get something that it did not ask for.
    Parameters in `several` may have several values.
    """

    async def check(request: Request) -> None:
        given = Counter(name for name, _ in request.query_params.multi_items() if name != _IGNORED)
        messages = {
            name: "There is no such parameter" if name not in (*names, *several) else "Only one value is allowed"
            for name, values in given.items()
            if name not in several and (name not in names or values > 1)
        }
        if messages:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "The request has wrong parameters: see `errors`.",
                errors=[
                    {"parameter": f"query.{visible(name[:_LONGEST_NAME])}", "message": message}
                    for name, message in list(messages.items())[:_MOST_ERRORS]
                ],
            )

    return Depends(dependency=check)


def only_those_of(model: type[BaseModel]) -> Depends:
    """Return a dependency like `only` for the parameters that are fields of `model`; lists may have several values."""
    several = [name for name, field in model.model_fields.items() if get_origin(field.annotation) is list]
    return only(*(name for name in model.model_fields if name not in several), several=several)
