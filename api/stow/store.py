"""Store the parts of a STOW-RS request, several parts at a time."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus

from api.access import Principal
from api.intake.intake import SubmissionIntake
from api.intake.upload import Upload
from api.multipart import PartBegins, PartData, PartEnds, PartEvent
from api.problems import Problem
from api.stow.identity import instance_identity
from api.stow.response import FailureReason, StoredPart
from nightread.wording import counted


class InstanceStore:
    """Stores the parts of one request. If a part fails, the other parts are stored all the same."""

    def __init__(self, intake: SubmissionIntake, principal: Principal, *, study: str | None, limit_bytes: int) -> None:
        """`study` is the Study Instance UID that all instances must have; None accepts any."""
        self._intake = intake
        self._principal = principal
        self._study = study
        self._limit_bytes = limit_bytes
        self._upload: Upload | None = None
        self._failure: FailureReason | None = None
        self._finishing: list[asyncio.Task[StoredPart]] = []
        self.problem: Problem | None = None
        """The first problem that the intake raised, such as a full disk or an unavailable database."""

    async def store(self, events: AsyncIterator[PartEvent]) -> list[StoredPart]:
        """Store all parts, and return the result of each part. Raises Problem and ClientDisconnect."""
        try:
            async for event in events:
                match event:
                    case PartBegins():
                        self._begin_part()
                    case PartData():
                        await self._write(event.data)
                    case PartEnds():
                        await self._end_part()
            return list(await asyncio.gather(*self._finishing))
        except Problem as problem:
            problem.detail += await self._stored_before()
            raise
        finally:
            if self._upload is not None:
                await self._upload.discard()
            await asyncio.gather(*self._finishing, return_exceptions=True)

    async def _stored_before(self) -> str:
        """Return a sentence on the parts that are stored although the rest of the request could not be read."""
        parts = await asyncio.gather(*self._finishing, return_exceptions=True)
        stored = sum(isinstance(part, StoredPart) and part.failure is None for part in parts)
        if not stored:
            return ""
        return (
            f" {counted(stored, 'earlier instance is', 'earlier instances are')} stored. Send the whole request again."
        )

    def _begin_part(self) -> None:
        self._upload, self._failure = None, None
        try:
            self._upload = self._intake.begin(self._principal)
        except Problem as problem:
            if not self._finishing:
                raise  # nothing is stored yet, and the client need not send the rest
            self._failure = self._note(problem)

    async def _write(self, data: bytes) -> None:
        if self._upload is None or self._failure is not None:
            return  # the rest of a part that failed
        room = self._limit_bytes - self._upload.size
        if len(data) > room:
            data, self._failure = data[:room], FailureReason.OUT_OF_RESOURCES
        try:
            await self._upload.write(data)
        except Problem as problem:
            self._failure = self._note(problem)

    async def _end_part(self) -> None:
        if self._upload is None:
            self._finishing.append(asyncio.create_task(_not_begun(self._failure)))
        else:
            await self._intake.places.acquire()
            upload, self._upload = self._upload, None
            self._finishing.append(asyncio.create_task(self._finish(upload, self._failure)))

    async def _finish(self, upload: Upload, failure: FailureReason | None) -> StoredPart:
        """Make one part durable, unless it is not a DICOM file or belongs to another study."""
        try:
            identity = await self._intake.in_thread(partial(instance_identity, bytes(upload.head)))
            if identity is None:
                failure = failure or FailureReason.CANNOT_UNDERSTAND
            elif self._study and identity.study_instance_uid not in (None, self._study):
                failure = failure or FailureReason.DOES_NOT_MATCH
            if failure is None:
                try:
                    await self._intake.finish(upload)
                except Problem as problem:
                    failure = self._note(problem)
            return StoredPart(identity=identity, failure=failure)
        finally:
            await upload.discard()
            self._intake.places.release()

    def _note(self, problem: Problem) -> FailureReason:
        self.problem = self.problem or problem
        is_full = problem.status is HTTPStatus.INSUFFICIENT_STORAGE
        return FailureReason.OUT_OF_RESOURCES if is_full else FailureReason.PROCESSING_FAILURE


async def _not_begun(failure: FailureReason | None) -> StoredPart:
    """Return the result of a part that was refused before its first byte."""
    return StoredPart(identity=None, failure=failure)
