"""API, worker and database are killed with SIGKILL while clients post: what was acknowledged has one outcome."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import pytest
from chaos.invariants import audit_violations
from chaos.state_log import illegal_transitions, install_triggers
from chaos.system import ChaosSystem, chaos_system
from chaos.waiting import wait_until
from compose_processes import free_port
from posting_clients import PostingClient, posting
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from db import queries
from db.engine import Database
from db.tables import State, instances, predictions, work
from models.phantoms.dicom import PhantomStyle, phantom_file

CLIENTS = 6
FIRST_SECONDS, LAST_SECONDS = 180.0, 180.0
TOGETHER = ("api", "worker", "database")
_AFTER_EACH_KILL = 2
"""Images that each client has acknowledged then: one for whose result it waited, and one without."""


def contents() -> Callable[[], bytes]:
    """Return a function that returns a scan with its own UID, and so with other bytes, at each call."""
    drawn, truth = phantom_file(seed=21, index=0, style=PhantomStyle(size=64))
    uid = truth.sop_instance_uid.encode()
    numbers, lock = count(), Lock()

    def content() -> bytes:
        with lock:
            return drawn.replace(uid, uid[:-6] + b"%06d" % next(numbers))

    return content


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder into which PostgreSQL can go, which runs as another user if this one is root."""
    with TemporaryDirectory(prefix="nr-killed-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def test_every_acknowledged_image_has_one_outcome(folder: Path, kind: str) -> None:
    """Each is killed by itself, then all together, and starts again; clients send until they hear an answer."""
    port = free_port()
    programs = {"dispatch": [], "worker": [], "api": ["--port", str(port)]}
    with chaos_system(folder / "site", database=kind, programs=programs) as system:
        system.start()
        database = system.database()
        install_triggers(database)
        system.start_programs()
        victims = [name for name in TOGETHER if name != "database" or system.postgres is not None]
        with posting(port, contents(), clients=CLIENTS) as clients:
            wait_until(lambda: is_one_done(database), seconds=FIRST_SECONDS, what="the networks are loaded")
            kills = [*((name,) for name in victims), tuple(victims)]
            for names in kills:
                kill(system, names)
                wait_for_progress(clients)
        wait_until(lambda: unfinished(database) == 0, seconds=LAST_SECONDS, what="every image has its outcome")

        starts = {name: supervised.starts for name, supervised in system.supervised.items()}
        assert starts["api"] >= 3, starts
        assert starts["worker"] >= 3, starts
        assert_one_outcome_each(database, clients, at_least=len(kills) * _AFTER_EACH_KILL)
        assert illegal_transitions(database) == []
        assert [*audit_violations(system)] == []
        database.close()


def kill(system: ChaosSystem, names: Sequence[str]) -> None:
    """Kill processes; the supervisor of the system starts them again."""
    for name in names:
        server = system.postgres.supervised if name == "database" and system.postgres else None
        process = (server or system.supervised[name]).process
        assert process is not None
        process.kill()


def wait_for_progress(clients: Sequence[PostingClient]) -> None:
    """Wait until each client has two more images acknowledged."""
    before = [len(client.acknowledged) for client in clients]
    wait_until(
        lambda: all(
            len(client.acknowledged) >= n + _AFTER_EACH_KILL for client, n in zip(clients, before, strict=True)
        ),
        seconds=FIRST_SECONDS,
        what=f"clients go on; refused: {[dict(client.refused) for client in clients]}",
    )


def is_one_done(database: Database) -> bool:
    """Return whether an image has its result."""
    return queries.tally(database).done > 0


def unfinished(database: Database) -> int:
    """Return how many images have no outcome; -1 while the database starts."""
    try:
        return queries.tally(database).unfinished
    except SQLAlchemyError:
        return -1


def assert_one_outcome_each(database: Database, clients: Sequence[PostingClient], *, at_least: int) -> None:
    """Compare what clients were told with the database; each was told of so many images."""
    acknowledged = [pair for client in clients for pair in client.acknowledged.items()]
    assert len({image_id for image_id, _ in acknowledged}) == len(acknowledged) >= at_least * len(clients)
    assert {status for client in clients for status in client.refused} <= {"no response", "503"}
    rows = (
        select(instances.c.id, instances.c.content, work.c.state, func.count(predictions.c.work_id))
        .join(work, work.c.instance_id == instances.c.id)
        .outerjoin(predictions, predictions.c.work_id == work.c.id)
        .group_by(instances.c.id, instances.c.content, work.c.id, work.c.state)
    )
    with database.read() as connection:
        found = connection.execute(rows).all()
    by_id = {row.id: row for row in found}
    assert len(by_id) == len(found), "an image has two rows of work"
    for image_id, content in acknowledged:
        assert by_id[image_id].content == content
    assert {(state, frames) for _, _, state, frames in found} <= {(State.DONE, 1), (State.DUPLICATE, 0)}
    done = Counter(row.content for row in found if row.state == State.DONE)
    assert set(done.values()) == {1}
    assert {content for _, content in acknowledged} <= done.keys()
