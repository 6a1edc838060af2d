"""A short campaign over mutated files; `make fuzz` runs long ones."""

import multiprocessing
import sys
from pathlib import Path

import pytest
import skip_reasons
from fuzz.campaign import CostLimits, Totals, run
from fuzz.mutation import mutation
from fuzz.outcome import DECODED, outcome_of
from fuzz.reader_process import FINDING
from fuzz.seeds import REAL_FILES, real_files, seeds

from nightread.reasons import Reason

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=skip_reasons.LINUX)

SEED, COUNT = 20261121, 1500


@pytest.fixture(scope="module")
def totals() -> Totals:
    """The totals of a campaign."""
    return run(range(COUNT), files=seeds(), seed=SEED, limits=CostLimits())


@pytest.mark.slow
def test_each_mutation_is_decoded_or_has_a_reason(totals: Totals) -> None:
    """There is no other exception, no dead process, no hanging file and none that takes half a gigabyte."""
    assert [(found.number, found.outcome, found.what) for found in totals.findings] == []
    assert totals.outcomes.total() == COUNT
    assert set(totals.outcomes) <= {DECODED, *map(str, Reason)}


def test_mutations_reach_all_outcomes(totals: Totals) -> None:
    """If most of them were rejected early, the later code would not be tested."""
    assert totals.outcomes[DECODED] > COUNT / 5
    wanted = (Reason.BAD_HEADER, Reason.BAD_PIXELS, Reason.TRUNCATED, Reason.NOT_DICOM, Reason.NON_IMAGE)
    assert all(totals.outcomes[reason] > COUNT / 100 for reason in wanted), totals.outcomes


@pytest.mark.filterwarnings("ignore")
def test_every_unchanged_file_has_an_outcome() -> None:
    """This holds for real and for synthetic files."""
    outcomes = {seed.name: outcome_of(seed.data) for seed in seeds()}
    assert not [name for name, outcome in outcomes.items() if FINDING in outcome]
    made = [name for name in outcomes if "/" not in name and name not in ("report", "directory")]
    assert {outcomes[name] for name in made} == {DECODED}


def test_the_seeds_include_the_real_files() -> None:
    """All files of the manifest are included."""
    if not REAL_FILES.exists():
        pytest.skip(skip_reasons.NO_SHARED_DATA)
    assert len(real_files()) >= 50


def test_a_mutation_is_the_same_each_time() -> None:
    """Its number reproduces it; another seed gives another mutation."""
    for number in range(50):
        assert mutation(seeds(), SEED, number) == mutation(seeds(), SEED, number)
    assert mutation(seeds(), SEED, 1).data != mutation(seeds(), SEED + 1, 1).data


@pytest.mark.slow
def test_a_file_that_exceeds_a_limit_is_found_and_kept(tmp_path: Path) -> None:
    """The limits are time and memory; in this test they are zero."""
    slow = run((3,), files=seeds(), seed=SEED, limits=CostLimits(seconds=0), keep_in=tmp_path)
    large = run((4,), files=seeds(), seed=SEED, limits=CostLimits(memory_bytes=-1), keep_in=tmp_path)

    assert [found.outcome for found in (*slow.findings, *large.findings)] == [f"{FINDING}: hang", f"{FINDING}: memory"]
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert kept == {f"{SEED}-{number}.dcm": mutation(seeds(), SEED, number).data for number in (3, 4)}


@pytest.mark.slow
def test_a_death_is_recorded_for_its_file_and_the_campaign_continues() -> None:
    """The child process is killed when it reads the second file."""

    def kill_after_the_first(totals: Totals) -> None:
        if totals.outcomes.total() == 1:
            (child,) = multiprocessing.active_children()
            child.kill()
            child.join()

    totals = run(range(3), files=seeds(), seed=SEED, limits=CostLimits(), on_progress=kill_after_the_first)

    assert [(found.number, found.outcome) for found in totals.findings] == [(1, f"{FINDING}: SIGKILL")]
    assert totals.outcomes.total() == 3
