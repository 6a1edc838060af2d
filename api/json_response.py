"""Write JSON as `nightread query --format json` does: times in ISO 8601, and every text in ASCII escapes."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus

from fastapi import Response


def json_text(value: object) -> str:
    """Return JSON; escapes keep lone surrogates and characters that change a terminal harmless."""
    return json.dumps(value, default=datetime.isoformat, allow_nan=False)


def json_list(values: Iterable[object]) -> str:
    """Return a list as JSON.

    Each value is written by itself: the interpreter lets no other thread run while it writes one, and a whole page of
    a thousand images takes it 20 ms. Call it in a thread.
    """
    return f"[{', '.join(map(json_text, values))}]"


def json_object(**members: str) -> str:
    """Return a JSON object whose members are given as JSON texts."""
    return f"{{{', '.join(f'{json_text(name)}: {text}' for name, text in members.items())}}}"


def json_response(
    value: object, status: HTTPStatus = HTTPStatus.OK, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response with this value."""
    return text_response(json_text(value), status, headers=headers)


def text_response(
    text: str, status: HTTPStatus = HTTPStatus.OK, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response with this JSON."""
    return Response(text, status.value, headers=headers, media_type="application/json")
