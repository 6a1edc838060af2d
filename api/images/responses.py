"""Wait for the outcomes of the images that a client sent, and make the response."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

from fastapi import Response

from api.images.objects import Described, Row, describe
from api.images.prefer import Waiting
from api.images.receive import ReceivedFile
from api.json_response import json_list, json_object, json_response, text_response
from api.problems import Problem, problem_response
from api.threads import Threads
from api.waiting import OutcomeWaiters
from db import ledger
from db.engine import Database
from db.tables import FINAL, State
from nightread.reasons import Reason

_REASONS = {reason.value: reason for reason in Reason}
_RETRY_AFTER = {"Retry-After": "1"}
_KNOWN_BYTES_SECONDS = 1.0
"""Longest wait if the bytes of all files were analysed before. Their results are known; only the rows of the new copies
have no outcome yet."""


class SubmissionResponses:
    """Makes the responses to requests that send images."""

    def __init__(self, database: Database, waiters: OutcomeWaiters, threads: Threads, *, may_read: bool) -> None:
        """`may_read` says whether the client may read images that other clients sent."""
        self._database = database
        self._waiters = waiters
        self._threads = threads
        self._may_read = may_read

    async def of_one(self, file: ReceivedFile, waiting: Waiting) -> Response:
        """Return 200 with the result, 202 if there is none yet, 422 for a rejected image, or 500 for a failed image."""
        (found,) = await self._outcomes([file], waiting.seconds)
        headers = {**waiting.headers, "Location": f"/v1/images/{found.image_id}"}
        if found.state in (State.REJECTED, State.FAILED):
            return problem_response(_without_result(found, headers))
        described = found.to_json(may_read=self._may_read)
        if found.is_final or found.original is not None:
            return json_response(_with_sha256(described, file), headers=headers)
        return json_response(described, HTTPStatus.ACCEPTED, headers={**headers, **_RETRY_AFTER})

    async def of_several(self, files: Sequence[ReceivedFile], waiting: Waiting) -> Response:
        """Return a list of the images, with 200 if each has its outcome (also a rejection or a failure), else 202."""
        found = await self._outcomes(files, waiting.seconds)
        is_final = all(image.is_final or image.original is not None for image in found)
        images = await self._threads.run(json_list, (image.to_json(may_read=self._may_read) for image in found))
        return text_response(
            json_object(images=images),
            HTTPStatus.OK if is_final else HTTPStatus.ACCEPTED,
            headers=waiting.headers if is_final else {**waiting.headers, **_RETRY_AFTER},
        )

    async def _outcomes(self, files: Sequence[ReceivedFile], seconds: float) -> list[Described]:
        """Wait for all images, and then for the members of archives among them."""
        known = await self._threads.run(ledger.known_contents, self._database, [file.content for file in files])
        same_bytes_as = {
            file.image_id: known[file.content]
            for file in files
            if file.content in known and known[file.content] != file.image_id
        }
        image_ids = [file.image_id for file in files]
        ends_at = asyncio.get_running_loop().time() + (
            min(seconds, _KNOWN_BYTES_SECONDS) if len(same_bytes_as) == len(files) else seconds
        )
        wanted: Sequence[int] = image_ids
        while True:
            left = ends_at - asyncio.get_running_loop().time()
            is_finished = await self._waiters.wait(wanted, left) if left > 0 else False
            found = await self._threads.run(describe, self._database, image_ids, same_bytes_as=same_bytes_as)
            wanted = [row["image_id"] for image in found for row in image.members if row["state"] not in FINAL]
            if not is_finished or not wanted:
                return found


def _with_sha256(described: Row, file: ReceivedFile) -> Row:
    """Return the object with the SHA-256 of the received bytes, if these bytes were analysed."""
    return {**described, "sha256": file.sha256} if described["content"] == file.content else described


def _without_result(found: Described, headers: dict[str, str]) -> Problem:
    """Return problem 422 for a rejected image, and 500 for a failed image."""
    reason = _REASONS[found.row["reason"]]
    is_rejected = found.state is State.REJECTED
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY if is_rejected else HTTPStatus.INTERNAL_SERVER_ERROR,
        found.row["detail"] or reason.message,
        headers=headers,
        state=found.state.value,
        reason=reason.value,
        meaning=reason.message,
        image_id=found.image_id,
        links={"self": headers["Location"]},
    )
