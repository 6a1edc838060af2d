"""Find the expected outcome of each content in a run without faults."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from chaos.arrivals import PlannedFile
from chaos.system import NIGHTREAD, settings_environment
from nightread.content_digest import hex_digits


class ExpectedOutcome(NamedTuple):
    """The part of an outcome that does not depend on time."""

    state: str
    reason: str | None
    label: str | None


class BaselineRunFailedError(Exception):
    """The run without faults failed; the message is its output."""


def expected_outcomes(arrivals: Sequence[PlannedFile]) -> dict[str, ExpectedOutcome]:
    """Run `nightread run` over all contents, and return identity -> outcome. Raises BaselineRunFailedError."""
    with tempfile.TemporaryDirectory(prefix="nr-chaos-baseline-") as place:
        inbox, state = Path(place) / "inbox", Path(place) / "state"
        inbox.mkdir()
        for arrival in arrivals:
            (inbox / hex_digits(arrival.identity)).write_bytes(arrival.content)
        environment = settings_environment(STATE_DIR=str(state), BATCH_IMAGES=256, LEASE_SECONDS=120)
        ran = subprocess.run([NIGHTREAD, "run", inbox], env=environment, cwd=place, capture_output=True, check=False)
        if ran.returncode:
            raise BaselineRunFailedError(ran.stdout.decode() + ran.stderr.decode())
        query = [NIGHTREAD, "query", "--format", "json"]
        queried = subprocess.run(query, env=environment, cwd=place, capture_output=True, check=True)
    return {
        f"blake3:{Path(row['uri']).name}": ExpectedOutcome(row["state"], row["reason"], row["label"])
        for row in json.loads(queried.stdout)
    }
