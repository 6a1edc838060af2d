"""Write responses as JSON, with times in ISO 8601 and all characters outside of ASCII escaped."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus

from fastapi import Response


def json_text(value: object) -> str:
    """Return the value as JSON. Escapes make lone surrogates, and characters that can control a terminal, harmless."""
    return json.dumps(value, default=datetime.isoformat, allow_nan=False)


def json_list(values: Iterable[object]) -> str:
    """Return a list as JSON. Call this function in a thread.

    Each value is encoded by a call of its own, because no other thread can run during such a call. One call for a page
    of a thousand images would take 20 ms.
    """
    return f"[{', '.join(map(json_text, values))}]"


def json_object(**members: str) -> str:
    """Return a JSON object whose members are given as JSON texts."""
    return f"{{{', '.join(f'{json_text(name)}: {text}' for name, text in members.items())}}}"


def json_response(
    value: object, status: HTTPStatus = HTTPStatus.OK, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response whose body is this value as JSON."""
    return text_response(json_text(value), status, headers=headers)


def text_response(
    text: str, status: HTTPStatus = HTTPStatus.OK, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response whose body is this JSON text."""
    return Response(text, status.value, headers=headers, media_type="application/json")
