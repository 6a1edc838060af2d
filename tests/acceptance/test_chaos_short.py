"""`make chaos`, for one minute."""

from pathlib import Path

import pytest
from chaos.arrivals import plan_files
from chaos.expected_outcomes import expected_outcomes
from chaos.run import run

SEED, MINUTES, FAULTS, IMAGES = 4, 1.0, 8, 300


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_minute_of_chaos_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After eight faults every file has one right outcome, every state change was legal, and the audit is clean."""
    arrivals = plan_files(SEED, IMAGES, MINUTES * 60)
    result = run(
        tmp_path / "site",
        database="sqlite",
        seed=SEED,
        minutes=MINUTES,
        faults=FAULTS,
        arrivals=arrivals,
        expected=expected_outcomes(arrivals),
        log=print,
    )
    assert result.violations == [], capsys.readouterr().out
    assert (result.faults, len(result.recoveries)) == (FAULTS, FAULTS)
    assert result.tally["arrived"] >= IMAGES
