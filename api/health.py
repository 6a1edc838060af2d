"""Define /v1/health, which tells whether the API works. It needs no key."""

from fastapi import APIRouter, Response
from sqlalchemy import literal, select

from api.context import Context
from api.json_response import json_response
from api.openapi import json_body, problem_responses

router = APIRouter(tags=["health"])

_HEALTH = {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}


@router.get(
    "/v1/health", summary="Check the API", responses={200: json_body("It works.", _HEALTH), **problem_responses()}
)
def check_health(context: Context) -> Response:
    """Return 200 if the database answers, else 503."""
    with context.database.read() as connection:
        connection.execute(select(literal(1)))
    return json_response({"status": "ok"})
