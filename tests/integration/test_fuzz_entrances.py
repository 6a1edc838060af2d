"""A short campaign over all entrances, and what longer ones have found; `make fuzz-entrances` runs long ones."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import skip_reasons
from fuzz.entrances.campaign import Campaign, Score, TrialLimits, TrialProcess, as_json, from_json, run
from fuzz.entrances.entrance import trial
from fuzz.entrances.registry import ENTRANCES
from fuzz.entrances.trial_process import Finding, Request

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason=skip_reasons.LINUX),
    pytest.mark.timeout(300),
]

SEED, EACH = 20261129, 60
LIMITS = TrialLimits(seconds=60)
FOUND = Path(__file__).parents[1] / "fuzz" / "entrances" / "found.json"


@pytest.fixture(scope="module")
def process() -> Iterator[TrialProcess]:
    """One process for all tests that try single data."""
    with TrialProcess(SEED, LIMITS) as trial_process:
        yield trial_process


@pytest.mark.slow
def test_each_mutation_at_each_entrance_has_an_explained_outcome() -> None:
    """There is no unexpected exception, no dead process and no trial that hangs."""
    campaign = Campaign.new(SEED)
    run(campaign, each=EACH, limits=LIMITS)
    assert [finding[:3] for finding in campaign.findings] == []
    assert {name: score.tried for name, score in campaign.scores.items()} == dict.fromkeys(ENTRANCES, EACH)
    assert all(len(score.outcomes) > 1 for score in campaign.scores.values()), campaign.scores


def test_what_was_found_once_is_explained_now(process: TrialProcess) -> None:
    """Each finding of earlier campaigns is kept with its data and retried."""
    found = from_json(json.loads(FOUND.read_text()))
    assert found
    again = [
        finding
        for one in found
        for chunk in process.tried(Request(one.entrance, one.number, one.number + 1, one.data))
        for finding in chunk.findings
    ]
    assert [finding[:3] for finding in again] == []


def test_a_trial_is_the_same_each_time() -> None:
    """Its number reproduces it; another seed gives another trial."""
    for entrance in ENTRANCES.values():
        assert [trial(entrance, SEED, number) for number in range(5)] == [
            trial(entrance, SEED, number) for number in range(5)
        ]
    manifests = ENTRANCES["manifests"]
    assert trial(manifests, SEED, 1).data != trial(manifests, SEED + 1, 1).data


@pytest.mark.slow
def test_a_campaign_goes_on_where_it_ended(tmp_path: Path) -> None:
    """The file has the outcomes and the findings; no trial is repeated or left out."""
    names, state = ("manifests", "texts and names"), tmp_path / "1.json"
    whole, parts = Campaign.new(SEED, names), Campaign.new(SEED, names)
    run(whole, each=40, limits=LIMITS)
    run(parts, each=15, limits=LIMITS)
    parts.findings.append(Finding("manifests", 3, "an example", b"\xff\x00"))
    parts.save(state)
    resumed = Campaign.load(state)
    assert resumed.findings == parts.findings
    run(resumed, each=40, limits=LIMITS)
    assert {name: score.outcomes for name, score in resumed.scores.items()} == {
        name: score.outcomes for name, score in whole.scores.items()
    }


def test_findings_survive_as_json() -> None:
    """Their data may be any bytes."""
    findings = [Finding("files", 7, "hang", bytes(range(256)))]
    assert from_json(json.loads(json.dumps(as_json(findings)))) == findings


def test_a_score_counts_its_trials() -> None:
    """The next trial has this number."""
    assert Score().tried == 0
