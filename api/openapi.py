"""Describe requests and responses in OpenAPI. FastAPI cannot derive them, since handlers read and write raw bodies."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import MEDIA_TYPE as PROBLEM

_DESCRIPTION = (
    "Send images and get their results, read earlier results, and control the work. On a loopback address no key is "
    "needed until the first key is made."
)
_BINARY = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
_ID = {"type": ["integer", "null"], "minimum": 1}
_TEXT = {"type": ["string", "null"]}
_COUNT = {"type": ["integer", "null"], "minimum": 0}
_TIME = {"type": ["string", "null"], "format": "date-time"}
_LINKS = {"type": "object", "additionalProperties": {"type": "string"}}

IMAGE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "One image, with the names of `nightread query --format json`; absent values are null.",
    "required": ["image_id", "source", "uri", "state", "links"],
    "properties": {
        "image_id": {"type": "integer", "minimum": 1},
        "source": {"type": "string"},
        "uri": _TEXT,
        "state": {
            "type": "string",
            "enum": ["received", "queued", "running", "done", "duplicate", "rejected", "failed", "expanded"],
        },
        **dict.fromkeys(
            ("reason", "detail", "content", "sha256", "label", "model", "model_version", "modality"), _TEXT
        ),
        **dict.fromkeys(("sop_instance_uid", "series_instance_uid", "study_instance_uid"), _TEXT),
        **dict.fromkeys(("body_part", "transfer_syntax", "member_name", "withdrawn_code"), _TEXT),
        **dict.fromkeys(("duplicate_of", "superseded_by", "parent_id", "withdrawn_by", "replaced_by"), _ID),
        **dict.fromkeys(("rows", "columns", "frames", "attempts"), _COUNT),
        "score": {"type": ["number", "null"]},
        "scores": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
        "received_at": _TIME,
        "finished_at": _TIME,
        "links": _LINKS,
        "original": {"type": "object", "description": "The image with the same bytes, if this one is a duplicate."},
        "members": {"type": "array", "items": {"type": "object"}, "description": "The images of an archive."},
    },
}
IMAGE_EXAMPLE: dict[str, Any] = {
    "image_id": 4711,
    "source": "api",
    "uri": "/var/lib/nightread/spool/api-1f2e3d4c/20261105/0a1b2c3d/5e6f7a8b-9c0d.dcm",
    "state": "done",
    "label": "nodule",
    "score": 0.97,
    "scores": {"normal": 0.03, "nodule": 0.97},
    "model": "phantom",
    "model_version": "1",
    "links": {"self": "/v1/images/4711", "preview": "/v1/images/4711/preview.png"},
}
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A problem object (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}

SUBMIT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        **dict.fromkeys(
            (
                "application/dicom",
                "image/png",
                "image/jpeg",
                "application/zip",
                "application/x-tar",
                "application/gzip",
                "application/octet-stream",
            ),
            _BINARY,
        ),
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "array", "minItems": 1, "items": _BINARY["schema"]}},
            }
        },
    },
}


def described(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description of the application, with its authentication schemes."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, routes=app.routes, description=_DESCRIPTION)
        found.setdefault("components", {})["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "A key of `nightread keys add`."},
            "password": {"type": "http", "scheme": "basic", "description": "The key as the password."},
        }
        found["security"] = [{"key": []}, {"password": []}]
        found["paths"]["/v1/health"]["get"]["security"] = []
        app.openapi_schema = found
    return app.openapi_schema


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return descriptions of problem responses for these statuses, and for the statuses that every route can return."""
    return {
        status: {"description": _MEANINGS[status], "content": {PROBLEM: {"schema": PROBLEM_SCHEMA}}}
        for status in sorted({*statuses, *_ALWAYS})
    }


def json_body(description: str, schema: dict[str, Any], example: object = None) -> dict[str, Any]:
    """Return the description of a response with JSON."""
    content = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"description": description, "content": {"application/json": content}}


_ALWAYS = (401, 403, 422, 429, 500, 503)
_MEANINGS = {
    400: "The request is malformed or incomplete.",
    401: "A key is required, or the key is not valid.",
    403: "The key has no permission for this, or the request came from a page of another site.",
    404: "There is nothing with this id or UID.",
    406: "The response is not available in a format that the client accepts.",
    408: "The body came too slowly.",
    409: "The present state does not permit this; `detail` says why.",
    410: "The file or the image was removed.",
    413: "The body is too large.",
    415: "Files of this type are not accepted.",
    422: "A parameter is not valid, or the image was rejected: `reason` and `detail` say why.",
    429: "Too many wrong keys came from this address.",
    500: "The analysis failed, or an unexpected error occurred.",
    503: "The database is unavailable, or the API has too many connections.",
    507: "The disk has too little space: the file is not stored.",
}
_IMAGE_OR_LIST = {
    "anyOf": [
        IMAGE_SCHEMA,
        {
            "type": "object",
            "required": ["images"],
            "properties": {"images": {"type": "array", "items": IMAGE_SCHEMA}},
        },
    ]
}

SUBMIT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: json_body('The result; for a form `{"images": [...]}`.', _IMAGE_OR_LIST, IMAGE_EXAMPLE),
    202: json_body("The image is stored and not analysed yet; `Location` is where its result will be.", _IMAGE_OR_LIST),
    **problem_responses(400, 408, 413, 415, 507),
}
IMAGE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: json_body("The image.", IMAGE_SCHEMA, IMAGE_EXAMPLE),
    **problem_responses(404),
}
