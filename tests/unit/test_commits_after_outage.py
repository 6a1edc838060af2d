"""After a long outage the committers work off what they could not commit, in groups, without files that are gone."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Semaphore, Thread
from typing import Any

import pytest

import api.intake.committer
import producer.cstore.group_commit
from api.intake.committer import NotCommittedError, SubmissionCommitter
from db.ledger import Arrival, Registered
from producer.cstore.group_commit import GroupCommitter
from producer.spool.spool import Spool

GONE = "2026-01-01/gone/5.dcm"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A spool from which somebody removes a folder of a day."""
    return Spool(tmp_path)


def store(spool: Spool, number: int) -> Arrival:
    """Write one file."""
    arrival = Arrival(uri=GONE if number == 5 else f"2026-01-02/kept/{number}.dcm", size=1, mtime_ns=1)
    path = spool.root / arrival.uri
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"1")
    return arrival


class Database:
    """Refuses commits until it is said to work, and then notes the files of each commit."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.works = False
        self.commits: list[list[str]] = []

    def commit(self, arrivals: Sequence[Arrival]) -> dict[str, int]:
        """Note the files, as a commit of the API."""
        if not self.works:
            raise OSError
        self.spool.sync_folders(arrivals)
        self.commits.append([arrival.uri for arrival in arrivals])
        return dict.fromkeys(self.commits[-1], 1)

    def receive(self, *_: Any, arrivals: Sequence[Arrival], **__: Any) -> Registered:
        """Note the files, as a commit of a receiver."""
        return Registered(new=len(self.commit(arrivals)), changed=0)

    def repair(self) -> None:
        """Remove a folder, and take commits."""
        (self.spool.root / GONE).unlink()
        (self.spool.root / GONE).parent.rmdir()
        self.works = True

    def require_all(self) -> None:
        """Fail unless each file that exists was committed once, in groups of two."""
        assert max(map(len, self.commits)) <= 2
        assert sorted(uri for uris in self.commits for uri in uris) == [f"2026-01-02/kept/{n}.dcm" for n in range(5)]


def test_the_api_commits_again_in_groups(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are refused after the first failure until all is well."""
    monkeypatch.setattr(api.intake.committer, "GROUP_IMAGES", 2)
    monkeypatch.setattr(api.intake.committer, "_RETRY_SECONDS", 0.0)
    database = Database(spool)

    async def outage() -> None:
        with ThreadPoolExecutor(1) as executor:
            committer = SubmissionCommitter(database.commit, spool.present, executor, lambda: None)
            task = asyncio.create_task(committer.run())
            registering = [asyncio.create_task(committer.register(store(spool, number))) for number in range(6)]
            refused = await asyncio.gather(*registering, return_exceptions=True)
            assert [type(error) for error in refused] == [NotCommittedError] * 6
            assert not committer.is_available
            await asyncio.to_thread(database.repair)
            await until(lambda: sum(map(len, database.commits)) >= 5)
            task.cancel()

    async def until(condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0)

    asyncio.run(outage())
    database.require_all()


class Log:
    """The log of an association, as far as a committer needs it."""

    association, sender, received = "1", None, 0

    def receipt(self, **_: Any) -> None:
        """Nothing to write."""


def test_a_receiver_commits_again_in_groups(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the API does."""
    monkeypatch.setattr(producer.cstore.group_commit, "GROUP_ARRIVALS", 2)
    monkeypatch.setattr(producer.cstore.group_commit, "_RETRY_SECONDS", 0.0)
    database = Database(spool)
    monkeypatch.setattr(producer.cstore.group_commit, "receive", database.receive)
    registered = Semaphore(0)
    committer = GroupCommitter(
        database,  # type: ignore[arg-type]
        spool,
        source_id=1,
        priority=5,
        on_registered=lambda _: registered.release(),
    )
    committer._unconfirmed = [store(spool, number) for number in range(6)]
    committer.is_available = False
    database.repair()
    thread = Thread(target=committer.run)

    thread.start()
    assert all(registered.acquire(timeout=100) for _ in range(3))
    committer.close()
    thread.join()

    database.require_all()
