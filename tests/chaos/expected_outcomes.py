"""What becomes of each content when nothing goes wrong."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from chaos.arrivals import PlannedFile
from chaos.system import NIGHTREAD, settings_environment


class ExpectedOutcome(NamedTuple):
    """The outcome of an image, as far as it does not depend on when it was system."""

    state: str
    reason: str | None
    label: str | None


class BaselineRunFailedError(Exception):
    """The run in which nothing is done to the system did not end well: its output."""


def expected_outcomes(arrivals: Sequence[PlannedFile]) -> dict[str, ExpectedOutcome]:
    """SHA-256 of each content -> its fate in a `nightread run` over all of them. Raises NotCalmError."""
    with tempfile.TemporaryDirectory(prefix="nr-chaos-calm-") as place:
        inbox, state = Path(place) / "inbox", Path(place) / "state"
        inbox.mkdir()
        for arrival in arrivals:
            (inbox / arrival.sha256).write_bytes(arrival.content)
        environment = settings_environment(STATE_DIR=str(state), BATCH_IMAGES=256, LEASE_SECONDS=120)
        ran = subprocess.run([NIGHTREAD, "run", inbox], env=environment, cwd=place, capture_output=True, check=False)
        if ran.returncode:
            raise BaselineRunFailedError(ran.stdout.decode() + ran.stderr.decode())
        query = [NIGHTREAD, "query", "--format", "json"]
        told = subprocess.run(query, env=environment, cwd=place, capture_output=True, check=True)
    return {
        Path(row["uri"]).name: ExpectedOutcome(row["state"], row["reason"], row["label"])
        for row in json.loads(told.stdout)
    }
