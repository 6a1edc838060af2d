"""Serve /metrics for Prometheus."""

from fastapi import APIRouter, Response

from api.access import Permission, require
from api.context import Context
from api.metrics.exposition import CONTENT_TYPE, metrics_text
from api.openapi import problem_responses

router = APIRouter(tags=["metrics"], dependencies=[require(Permission.READ)])


@router.get(
    "/metrics",
    summary="Read the metrics for Prometheus",
    response_class=Response,
    responses={
        200: {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **problem_responses(),
    },
)
def read_metrics(context: Context) -> Response:
    """Return all metrics, computed from the database now (docs/metrics.md)."""
    text = metrics_text(context.database, context.settings, context.nights, context.clock())
    return Response(text, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})
