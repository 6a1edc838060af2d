"""Which images a re-run selects, what its counts are, and what a comparison reads, on both databases."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome

from cli.comparing.results import compare_stored
from cli.reruns.selection import select_images
from db import ledger, queries
from db.ledger import Arrival, NewRoute
from db.queries import ImageFilter, RerunCount
from db.tables import State
from imaging.facts import Facts
from nightread.errors import UsageFault
from nightread.reasons import Reason
from nightread.settings import Settings, load_settings

EVERYTHING = ImageFilter()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The source of the images is a folder of this test."""
    (tmp_path / "inbox").mkdir()
    return load_settings(None, state_dir=tmp_path / "state", roots={"inbox": tmp_path / "inbox"})


@pytest.fixture
def trial_id(ledger_driver: LedgerDriver) -> int:
    """The bundle of the re-run, with the labels of the first one."""
    labels = {"labels": ["normal", "nodule"], "normal_label": "normal"}
    known = {"name": "trial", "version": "2", "digest": "t" * 64, **labels}
    return ledger.register_bundle(ledger_driver.database, now=ledger_driver.clock(), **known)  # type: ignore[arg-type]


def analyse(ledger_driver: LedgerDriver, arrivals: list[Arrival], **fields: Any) -> None:
    """Register the arrivals and give all of them the same outcome."""
    ledger_driver.register(arrivals)
    ledger_driver.analyse_all(**fields)


def rerun(ledger_driver: LedgerDriver, bundle_id: int, scores: list[float], **fields: Any) -> None:
    """Analyse all images again; each gets its score of a nodule, in the order of their ids."""
    database, now = ledger_driver.database, ledger_driver.clock()
    ids = queries.image_ids(database, EVERYTHING)
    ledger.plan_rerun(database, ids, [bundle_id], shadow=True, actor="ann", now=now)
    for batch in ledger_driver.form():
        outcomes = [
            build_outcome(
                image,
                **{
                    "label": "nodule" if score >= 0.5 else "normal",
                    "score": max(score, 1 - score),
                    "scores": [1 - score, score],
                    **fields,
                },
            )
            for image, score in zip(ledger_driver.claim(batch), scores, strict=True)
        ]
        ledger.record_rerun(database, batch.id, outcomes, seconds={}, release="test", now=now)


def test_images_without_original_are_left_out_with_the_reason(
    ledger_driver: LedgerDriver, bundle_id: int, settings: Settings, tmp_path: Path
) -> None:
    """Each image that cannot be analysed again has one reason; the others are selected."""
    (there, gone, changed, other) = build_arrivals(4)
    for arrival, size in ((there, there.size), (changed, 7), (other, other.size)):
        (tmp_path / "inbox" / arrival.uri).write_bytes(b"x" * size)
    here = (tmp_path / "inbox" / there.uri).stat().st_mtime_ns
    analyse(ledger_driver, [replace(there, mtime_ns=here), gone, changed], bundle_id=bundle_id)
    analyse(ledger_driver, [other], state=State.REJECTED, reason=Reason.TRUNCATED, content="b" * 64)
    ledger_driver.register(build_arrivals(1))
    purged = ledger_driver.instances()[-1].id
    ledger.purge(ledger_driver.database, [purged], cause="image", actor="ann", now=ledger_driver.clock())
    ledger_driver.register(build_arrivals(1))
    found = select_images(ledger_driver.database, settings, EVERYTHING)
    assert found.image_ids == [1]
    assert found.left_out == [
        (2, "missing_file"),
        (3, "changed_file"),
        (4, "without_result"),
        (5, "purged"),
        (6, "unfinished"),
    ]
    assert found.to_json()["left_out"][0] == {"image_id": 2, "reason": "missing_file"}


def test_originals_on_another_host_are_left_to_the_workers(
    ledger_driver: LedgerDriver, bundle_id: int, tmp_path: Path
) -> None:
    """The folder is not mounted here: nothing can be said of its files."""
    elsewhere = load_settings(None, state_dir=tmp_path / "state", roots={"inbox": tmp_path / "not-mounted"})
    analyse(ledger_driver, build_arrivals(2), bundle_id=bundle_id)
    found = select_images(ledger_driver.database, elsewhere, EVERYTHING)
    assert (found.image_ids, found.unchecked, found.left_out) == ([1, 2], 2, [])


def test_counts_of_a_rerun_are_by_model_state_and_reason(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """What a program reads in `rerun --json`."""
    analyse(ledger_driver, build_arrivals(2), bundle_id=bundle_id)
    rerun(ledger_driver, trial_id, [0.9, 0.1])
    analyse(ledger_driver, build_arrivals(1), bundle_id=bundle_id)
    rerun(ledger_driver, trial_id, [0.9], state=State.FAILED, reason=Reason.MISSING_FILE)
    counts = queries.rerun_counts(ledger_driver.database, [1, 2, 3], [trial_id])
    assert counts == [
        RerunCount(model="trial@2", state="done", reason=None, images=2),
        RerunCount(model="trial@2", state="failed", reason="missing_file", images=1),
    ]


def test_stored_results_are_compared_by_image(ledger_driver: LedgerDriver, bundle_id: int, trial_id: int) -> None:
    """All first results are normal with 0.25 for a nodule: images 2 and 4 flip, image 5 has no second result."""
    facts = Facts(modality="DX", manufacturer="Acme", station_name="R1", view_position="PA", patient_key="k" * 64)
    analyse(ledger_driver, build_arrivals(4), bundle_id=bundle_id, facts=facts)
    rerun(ledger_driver, trial_id, [0.3, 0.95, 0.1, 0.6])
    analyse(ledger_driver, build_arrivals(1), bundle_id=bundle_id)
    compared = compare_stored(ledger_driver.database, EVERYTHING, "phantom", "trial@2")
    of = compared.comparison
    assert (of.images, compared.only_first, compared.only_second) == (4, 1, 0)
    assert [(flip.image_id, flip.device, flip.view) for flip in of.flips] == [
        (2, "Acme R1", "PA"),
        (4, "Acme R1", "PA"),
    ]
    assert [flip.change for flip in of.flips] == [pytest.approx(0.7), pytest.approx(0.35)]
    counts = of.discordance[0].counts
    assert (counts.both, counts.only_first, counts.only_second, counts.neither) == (0, 0, 2, 2)
    assert of.patients == 1


def test_a_model_without_results_is_refused_with_those_that_have_some(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """The message says which models have results, and how to make some."""
    analyse(ledger_driver, build_arrivals(1), bundle_id=bundle_id)
    assert trial_id
    with pytest.raises(UsageFault, match=r"trial has no results for .*; models .* them: phantom@1\. .*rerun"):
        compare_stored(ledger_driver.database, EVERYTHING, "phantom", "trial")
    with pytest.raises(UsageFault, match="are the same model"):
        compare_stored(ledger_driver.database, EVERYTHING, "phantom", "phantom@1")
    with pytest.raises(UsageFault, match="No image matches"):
        compare_stored(ledger_driver.database, ImageFilter(states=("failed",)), "phantom", "trial")


def test_of_several_versions_the_newest_with_results_in_the_night_is_compared(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """A version that was registered later, and analysed images of another night only, does not count."""
    database = ledger_driver.database
    analyse(ledger_driver, build_arrivals(2), bundle_id=bundle_id)
    rerun(ledger_driver, trial_id, [0.9, 0.1])
    ledger_driver.clock.advance(days=1)
    later = {"name": "trial", "version": "3", "digest": "u" * 64, "labels": ["normal", "nodule"]}
    known = {**later, "normal_label": "normal", "now": ledger_driver.clock()}
    newest = ledger.register_bundle(database, **known)  # type: ignore[arg-type]
    analyse(ledger_driver, build_arrivals(1), bundle_id=newest)
    assert queries.results_of_bundles(database, [1, 2], [bundle_id, trial_id, newest]) == {bundle_id: 2, trial_id: 2}
    assert queries.results_of_bundles(database, [3], [bundle_id, trial_id, newest]) == {newest: 1}
    first_night = ImageFilter(until=ledger_driver.clock())
    assert compare_stored(database, first_night, "phantom", "trial").comparison.second.reference == "trial@2"


def test_a_promotion_is_found_with_its_evidence(ledger_driver: LedgerDriver, bundle_id: int, trial_id: int) -> None:
    """The latest one counts; a replacement without evidence is none."""
    database, now = ledger_driver.database, ledger_driver.clock()
    route = NewRoute(bundle_id=bundle_id, role="answer", conditions=())
    ledger.add_route(database, route, first=True, actor="ann", now=now)
    assert queries.last_promotion(database, "trial@2") is None
    because = {"promoted": "trial@2", "replaced": "phantom@1", "replaced_digest": "d" * 64, "comparison": {"images": 4}}
    ledger.replace_bundle(database, bundle_id, trial_id, actor="ann", now=now, because=because)
    ledger.replace_bundle(database, trial_id, bundle_id, actor="ann", now=now)
    found = queries.last_promotion(database, "trial@2")
    assert found is not None
    assert (found.old, found.old_digest, found.comparison) == ("phantom@1", "d" * 64, {"images": 4})
