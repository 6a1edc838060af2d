"""A process is killed before or after each step of the pipeline, and every image gets its right outcome."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from chaos.arrivals import PlannedFile, WriteMode
from chaos.expected_outcomes import ExpectedOutcome, expected_outcomes
from chaos.invariants import all_final, violations
from chaos.state_log import install_triggers
from chaos.system import ChaosSystem, chaos_system
from chaos.waiting import wait_until
from dicom_files import phantom

from db.engine import Database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STEPS = (
    "producer.folders.intake:register:before",
    "producer.folders.intake:register:after",
    "db.ledger:form_batches:before",
    "db.ledger:form_batches:after",
    "producer.dispatcher.transport:Transport.publish:before",
    "producer.dispatcher.transport:Transport.publish:after",
    "db.ledger:claim:before",
    "db.ledger:claim:after",
    "worker.reading:fetch:after",
    "worker.reading:open_dicom_image:after",
    "worker.inference.predictor:Predictor.scores:before",
    "db.ledger:record:before",
    "db.ledger:record:after",
    "db.ledger:return_expired:after",
)
IMAGES = 10
FIRST_SECONDS, FIRE_SECONDS, END_SECONDS = 120, 60, 120
"""Time limits for a busy machine; on an idle one a step takes three seconds."""


class RunningSystem:
    """A running system, and all files that were dropped into its inbox."""

    def __init__(self, running: ChaosSystem) -> None:
        self.chaos_system = running
        self.database: Database = running.database()
        self.dropped: list[PlannedFile] = []
        self._numbers = count()

    def drop(self) -> None:
        """Drop IMAGES new images into the inbox."""
        for number in (next(self._numbers) for _ in range(IMAGES)):
            arrival = PlannedFile(at=0, name=f"scan-{number}.dcm", content=phantom(number), mode=WriteMode.RENAME)
            transfer = self.chaos_system.folder / "transfer"
            transfer.write_bytes(arrival.content)
            transfer.rename(self.chaos_system.inbox / arrival.name)
            self.dropped.append(arrival)

    def wait_until_all_final(self, seconds: float) -> None:
        """Wait until each image has its outcome."""
        what = f"every image has its outcome; logs in {self.chaos_system.logs}"
        wait_until(lambda: all_final(self.chaos_system, self.database), seconds=seconds, what=what)


@pytest.fixture(scope="module")
def expected() -> dict[str, ExpectedOutcome]:
    """Return the outcome of each image when no process is killed."""
    images = [
        PlannedFile(at=0, name="", content=phantom(number), mode=WriteMode.RENAME) for number in range(_most_images())
    ]
    return expected_outcomes(images)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def running_system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningSystem]:
    """Start one system for all steps, and analyse some images first so that the networks are loaded."""
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)  # PostgreSQL runs as another user
    with chaos_system(tmp_path / "site", database=request.param) as running:
        running.start()
        running_system = RunningSystem(running)
        install_triggers(running_system.database)
        running.start_programs()
        running_system.drop()
        running_system.wait_until_all_final(FIRST_SECONDS)
        yield running_system
        running_system.database.close()


def test_all_images_are_done_after_a_kill_at_each_step(
    running_system: RunningSystem, expected: dict[str, ExpectedOutcome]
) -> None:
    """No kill loses an image; labels, state changes and the audit are as without kills."""
    for step in STEPS:
        token = running_system.chaos_system.arm(step)
        running_system.drop()
        wait_until(lambda token=token: not token.exists(), seconds=FIRE_SECONDS, what=f"a process dies at {step}")
        running_system.wait_until_all_final(END_SECONDS)
    assert {outcome.state for outcome in expected.values()} == {"done"}
    assert violations(running_system.chaos_system, running_system.database, running_system.dropped, expected) == []
    assert json.loads(running_system.chaos_system.nightread("status", "--json").stdout)["done"] == len(
        running_system.dropped
    )
    assert running_system.chaos_system.orphans() == []


def _most_images() -> int:
    return IMAGES * (len(STEPS) + 1)
