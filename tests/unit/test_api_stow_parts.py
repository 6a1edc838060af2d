"""The parts of STOW-RS requests fail one by one, and all requests together hold few of them in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import pytest
from dicom_files import phantom

from api.access import LOCAL
from api.multipart import PartBegins, PartData, PartEnds, PartEvent
from api.problems import Problem
from api.stow.response import FailureReason
from api.stow.store import InstanceStore


class Upload:
    """A part in memory."""

    def __init__(self) -> None:
        self.size, self.head = 0, bytearray()

    async def write(self, data: bytes) -> None:
        """Append bytes."""
        self.size += len(data)
        self.head += data

    async def discard(self) -> None:
        """Nothing to remove."""


class Intake:
    """An intake whose first commit fails when the test says so."""

    def __init__(self, places: int = 64) -> None:
        self.places = asyncio.Semaphore(places)
        self.commits = 0
        self.may_commit, self.has_failed = asyncio.Event(), asyncio.Event()

    def begin(self, *_: Any) -> Upload:
        """Return a new part."""
        return Upload()

    async def in_thread(self, step: Callable[[], Any]) -> Any:
        """Run the step at once."""
        return step()

    async def finish(self, _: Upload) -> int:
        """Commit a part; the first one fails."""
        self.commits += 1
        if self.commits == 1:
            await self.may_commit.wait()
            self.has_failed.set()
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The database is unavailable.")
        return self.commits


@pytest.mark.timeout(30)
def test_a_failed_commit_does_not_spoil_the_part_that_is_received() -> None:
    """The commit of one part fails while the next one comes."""

    async def store() -> list[FailureReason | None]:
        intake = Intake()

        async def events() -> AsyncIterator[PartEvent]:
            for event in (PartBegins(headers={}), PartData(data=phantom(1)), PartEnds(), PartBegins(headers={})):
                yield event
            intake.may_commit.set()
            await intake.has_failed.wait()
            await asyncio.sleep(0)
            for event in (PartData(data=phantom(2)), PartEnds()):
                yield event

        parts = await InstanceStore(intake, LOCAL, study=None, limit_bytes=10**6).store(events())  # type: ignore[arg-type]
        return [part.failure for part in parts]

    assert asyncio.run(store()) == [FailureReason.PROCESSING_FAILURE, None]


@pytest.mark.timeout(30)
def test_all_requests_share_the_places_of_parts() -> None:
    """A second client waits while the parts of the first one are not yet durable."""

    async def store() -> None:
        intake = Intake(places=1)

        async def events() -> AsyncIterator[PartEvent]:
            for event in (PartBegins(headers={}), PartData(data=phantom(1)), PartEnds()):
                yield event

        async def request() -> None:
            await InstanceStore(intake, LOCAL, study=None, limit_bytes=10**6).store(events())  # type: ignore[arg-type]

        requests = [asyncio.create_task(request()) for _ in range(2)]
        for _ in range(100):
            await asyncio.sleep(0)
        assert intake.commits == 1
        intake.may_commit.set()
        await asyncio.gather(*requests)
        assert intake.commits == 2

    asyncio.run(store())
