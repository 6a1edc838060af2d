"""Write JSON as `nightread query --format json` does: times in ISO 8601, and every text in ASCII escapes."""

import json
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus

from fastapi import Response


def json_text(value: object) -> str:
    """Return JSON; escapes keep lone surrogates and characters that change a terminal harmless."""
    return json.dumps(value, default=datetime.isoformat, allow_nan=False)


def json_response(
    value: object, status: HTTPStatus = HTTPStatus.OK, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response with this value."""
    return Response(json_text(value), status.value, headers=headers, media_type="application/json")
