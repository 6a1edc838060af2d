"""Images that kill, hang or starve whoever reads them, among two thousand good ones."""

import json
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from dicom_files import phantom
from faults_poison.poison import HANG, HANG_IN_C, HOG, KILL
from nightread_process import images, record_of, run
from sqlalchemy import distinct, func, select

from db.tables import batches

GOOD = 2000
POISON = [KILL, HANG, HOG, HANG_IN_C, KILL, HOG, HANG] * 2 + [KILL, HOG, KILL, HOG, KILL, HANG]
REASONS = {KILL: "killed_worker", HANG: "timeout", HANG_IN_C: "timeout", HOG: "out_of_memory"}
TIMEOUT_SECONDS = 1
FAULTS = Path(__file__).parents[1] / "faults_poison"
ATTEMPTS = 3
"""Other processes of this machine can make either night longer, never shorter than it is."""
KNOBS = {"IMAGE_TIMEOUT_SECONDS": TIMEOUT_SECONDS, "IMAGE_MEMORY_BYTES": 512 * 1024**2}


class LedgerDriver(NamedTuple):
    """One run that ended."""

    ended: subprocess.CompletedProcess[str]
    seconds: float
    state: Path

    @property
    def deaths(self) -> int:
        """Of processes of the worker."""
        return (self.state / "logs" / "worker.log").read_text("utf-8").count("a worker process died")

    @property
    def worker_starts(self) -> int:
        """Of the worker itself."""
        with record_of(self.state) as database, database.read() as connection:
            return connection.execute(select(func.count(distinct(batches.c.boot_id)))).scalar_one()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_poison_costs_its_own_images_and_its_own_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All good ones are done and each bad one failed for its reason; the worker lives, and little time is lost."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    for index in range(GOOD):
        (good / f"{index:05}.dcm").write_bytes(phantom(index))
    shutil.copytree(good, bad)
    expected = dict(_spread(bad))
    own_time = TIMEOUT_SECONDS * Counter(expected.values())["timeout"]
    _run(good, tmp_path / "cold")  # what is read from disk at the first start only would count for the first night
    told = []
    for attempt in range(ATTEMPTS):
        calm = _run(good, tmp_path / f"calm-{attempt}")
        poisoned = _run(bad, tmp_path / f"poisoned-{attempt}")
        _check(calm, poisoned, expected)
        told.append(
            f"{len(POISON)} poison images: {poisoned.seconds:.1f} s; without: {calm.seconds:.1f} s; "
            f"their own time-outs: {own_time} s; processes that died: {poisoned.deaths}"
        )
        with capsys.disabled():
            print(f"\n{told[-1]}")
        if poisoned.seconds <= 1.1 * calm.seconds + own_time:
            break
    assert poisoned.seconds <= 1.1 * calm.seconds + own_time, "\n".join(told)


def _check(calm: LedgerDriver, poisoned: LedgerDriver, expected: dict[str, str]) -> None:
    assert (calm.ended.returncode, json.loads(calm.ended.stdout)["done"]) == (0, GOOD), calm.ended.stderr
    tally = json.loads(poisoned.ended.stdout)
    assert (poisoned.ended.returncode, tally["done"], tally["failed"]) == (1, GOOD, len(POISON)), poisoned.ended.stderr
    found = {Path(row["uri"]).name: row["reason"] for row in images(poisoned.state) if row["state"] == "failed"}
    assert found == expected
    assert poisoned.worker_starts == 1


def _spread(folder: Path) -> list[tuple[str, str]]:
    """Poison the folder evenly; names and reasons."""
    poisoned = []
    for number, deed in enumerate(POISON):
        name = f"{(number + 1) * GOOD // (len(POISON) + 1):05}-poison.dcm"
        (folder / name).write_bytes(phantom(GOOD + number) + deed)
        poisoned.append((name, REASONS[deed]))
    return poisoned


def _run(inbox: Path, state: Path) -> LedgerDriver:
    began = time.monotonic()
    arguments = ("run", inbox, "--state", state, "--model", "phantom", "--workers", "2", "--json")
    ended = run(*arguments, seconds=180, pythonpath=FAULTS, **KNOBS)
    return LedgerDriver(ended, time.monotonic() - began, state)
