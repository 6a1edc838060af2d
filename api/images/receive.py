"""Receive the files of a request: one raw body, or several files of a form."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request

from api.access import Principal
from api.bodies import body_chunks
from api.intake.intake import SubmissionIntake
from api.intake.upload import Upload
from api.multipart import PartBegins, PartData, PartEnds, media_type, part_events
from api.problems import Problem

FORM = "multipart/form-data"
MEDIA_TYPES = (
    "application/dicom",
    "image/png",
    "image/jpeg",
    "application/zip",
    "application/x-tar",
    "application/gzip",
    "application/octet-stream",
)
"""Media types that clients may declare. The worker recognises a file by its bytes, not by this type."""
_TYPES_WITHOUT_MEANING = ("", "application/x-www-form-urlencoded")
"""Media types that clients such as curl send if the user chooses none. A file is then accepted if it begins like a
known type (_MAGIC)."""
_TYPES_OF_FIELDS = ("application/json", "application/xml")
"""Media types of fields of a form that describe its files. Without a file name, such a part is no file."""
_MAGIC = (
    (128, b"DICM"),
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"\xff\xd8\xff"),
    (0, b"PK\x03\x04"),
    (0, b"\x1f\x8b"),
)
_MOST_FILES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceivedFile:
    """One file that is durable in spool and database."""

    image_id: int
    content: str
    sha256: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Receiving:
    """Receives the files of one request."""

    intake: SubmissionIntake
    principal: Principal
    limit_bytes: int
    is_awaited: bool = False
    """Whether the client waits for the results, so that its images are urgent."""

    async def raw_body(self, request: Request) -> ReceivedFile:
        """Receive the body as one file. Raises Problem 400, 408, 413, 415, 422 (empty file), 503 and 507."""
        declared = media_type(request.headers.get("content-type"))[0]
        if declared not in (*MEDIA_TYPES, *_TYPES_WITHOUT_MEANING):
            raise unsupported(declared_type_help())
        upload = self.intake.begin(self.principal, is_awaited=self.is_awaited, with_sha256=self.is_awaited)
        try:
            async for chunk in body_chunks(request, self.limit_bytes):
                await upload.write(chunk)
            _require_content(upload, "The file")
            if declared in _TYPES_WITHOUT_MEANING and not is_known_content(upload.head):
                raise unsupported(declared_type_help())
            return await self.store(upload)
        finally:
            await upload.discard()

    async def form_files(self, request: Request) -> list[ReceivedFile]:
        """Receive each file of a form; its other fields are ignored.

        Raises the problems of `raw_body`. If files were stored before, the member `images` of the problem lists them.
        """
        files: list[ReceivedFile] = []
        try:
            async for file in self._each_form_file(request):
                files.append(file)  # noqa: PERF401 - the files before a problem are needed below
        except Problem as problem:
            if files:
                problem.detail += " The earlier files of the form are stored: see `images`."
                problem.members["images"] = [
                    {"image_id": file.image_id, "links": {"self": f"/v1/images/{file.image_id}"}} for file in files
                ]
            raise
        return files

    async def _each_form_file(self, request: Request) -> AsyncIterator[ReceivedFile]:
        boundary = media_type(request.headers.get("content-type"))[1].get("boundary")
        upload: Upload | None = None
        files = 0
        try:
            async for event in part_events(body_chunks(request, self.limit_bytes), boundary):
                match event:
                    case PartBegins() if _is_file(event.headers):
                        files += 1
                        if files > _MOST_FILES:
                            raise Problem(
                                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Send at most {_MOST_FILES:,} files at once."
                            )
                        upload = self.intake.begin(self.principal, is_awaited=self.is_awaited)
                    case PartData() if upload is not None:
                        await upload.write(event.data)
                    case PartEnds() if upload is not None:
                        _require_content(upload, f"File {files:,} of the form")
                        yield await self.store(upload)
                        upload = None
        finally:
            if upload is not None:
                await upload.discard()
        if not files:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The form has no file: use `curl -F file=@scan.dcm`.")

    async def store(self, upload: Upload) -> ReceivedFile:
        """Make a complete upload durable."""
        image_id = await self.intake.finish(upload)
        return ReceivedFile(image_id=image_id, content=upload.content, sha256=upload.sha256)


def unsupported(detail: str) -> Problem:
    """Return problem 415, whose header Accept-Post lists the accepted types."""
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, headers={"Accept-Post": ", ".join((*MEDIA_TYPES, FORM))})


def declared_type_help() -> str:
    """Return a sentence that lists the accepted types."""
    return f"Send one file with its Content-Type ({', '.join(MEDIA_TYPES)}), or several as {FORM}."


def is_known_content(head: bytes | bytearray) -> bool:
    """Return whether the first bytes are those of DICOM, PNG, JPEG, zip or gzip."""
    return any(head[at : at + len(magic)] == magic for at, magic in _MAGIC)


def _require_content(upload: Upload, name: str) -> None:
    if upload.size == 0:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} is empty.")


def _is_file(headers: dict[str, str]) -> bool:
    """Return whether a part of a form is a file: it has a file name, or a media type that no text field has.

    A file name is optional (RFC 7578, section 4.2). Some clients send a media type for text fields too.
    """
    if "filename" in media_type(headers.get("content-disposition"))[1]:
        return True
    kind = media_type(headers.get("content-type", "text/plain"))[0]
    return not kind.startswith("text/") and kind not in _TYPES_OF_FIELDS
