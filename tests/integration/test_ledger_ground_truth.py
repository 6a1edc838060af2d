"""Truths that became known later find the results they speak of."""

from collections.abc import Callable

from ledger_driver import LedgerDriver, build_outcome

from db import ledger, queries
from db.ledger import Arrival, FramePrediction, FurtherPrediction, GroundTruth, Subject
from db.queries import ResultWithTruth
from imaging.facts import Facts

MakeArrivals = Callable[..., list[Arrival]]
DIGEST = "d" * 64


def know(ledger_driver: LedgerDriver, subject: Subject, key: str, **labels: bool) -> int:
    """Import the labels of one key."""
    known = [GroundTruth(subject=subject, key=key, label=label, present=present) for label, present in labels.items()]
    return ledger.save_ground_truth(ledger_driver.database, known, actor="alice", now=ledger_driver.clock())


def analysed(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int, *facts: Facts) -> None:
    """One image per header, each with a result of the bundle."""
    for header in facts:
        ledger_driver.register(make_arrivals(1))
        ledger_driver.analyse_all(bundle_id=bundle_id, facts=header)


def found(ledger_driver: LedgerDriver, **span: object) -> list[ResultWithTruth]:
    """What the query gives for the one bundle."""
    return queries.results_with_truth(ledger_driver.database, DIGEST, **span)  # type: ignore[arg-type]


def test_truth_is_found_by_image_study_and_order(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """The closest knowledge counts."""
    analysed(
        ledger_driver,
        make_arrivals,
        bundle_id,
        Facts(sop_instance_uid="1.1", study_instance_uid="1", accession_key="x", patient_key="p"),
        Facts(sop_instance_uid="1.2", study_instance_uid="1", accession_key="x"),
        Facts(sop_instance_uid="2.1", study_instance_uid="2", accession_key="x"),
        Facts(sop_instance_uid="3.1"),
    )
    know(ledger_driver, "accession", "x", nodule=False)
    know(ledger_driver, "study", "1", nodule=True)
    know(ledger_driver, "sop", "1.1", nodule=False, scar=True)
    assert [(one.image_id, one.truth) for one in found(ledger_driver)] == [
        (1, {"nodule": False, "scar": True}),
        (2, {"nodule": True}),
        (3, {"nodule": False}),
    ]
    assert found(ledger_driver)[0].patient_key == "p"
    assert found(ledger_driver)[0].scores == (0.75, 0.25)
    assert queries.coverage(ledger_driver.database, DIGEST).analysed == 4
    assert queries.coverage(ledger_driver.database, DIGEST).keys == 3


def test_what_is_known_of_a_key_is_replaced_as_a_whole(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """A corrected file leaves nothing of the wrong one."""
    analysed(ledger_driver, make_arrivals, bundle_id, Facts(study_instance_uid="1"))
    know(ledger_driver, "study", "1", nodule=True, scar=True)
    assert know(ledger_driver, "study", "1", clear=True) == 1
    assert [one.truth for one in found(ledger_driver)] == [{"clear": True}]
    assert queries.known_keys(ledger_driver.database, "study", ["1", "2"]) == 1


def test_only_current_images_of_the_time_count(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """An older version, and what arrived at another time, is left out."""
    uids = {"sop_instance_uid": "1.1", "series_instance_uid": "1", "study_instance_uid": "1"}
    analysed(ledger_driver, make_arrivals, bundle_id, Facts(**uids), Facts(**uids))
    evening = ledger_driver.clock()
    ledger_driver.clock.advance(hours=24)
    analysed(ledger_driver, make_arrivals, bundle_id, Facts(study_instance_uid="1"))
    know(ledger_driver, "study", "1", nodule=True)
    assert [one.image_id for one in found(ledger_driver)] == [2, 3]
    assert [one.image_id for one in found(ledger_driver, since=evening, until=ledger_driver.clock())] == [2]
    assert queries.coverage(ledger_driver.database, DIGEST, since=evening, until=ledger_driver.clock()).analysed == 1


def test_a_network_on_trial_is_judged_by_its_own_results(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """Its rows beside the answers are found by its digest, and no others."""
    trial = ledger.register_bundle(
        ledger_driver.database,
        name="t",
        version="1",
        digest="t" * 64,
        labels=["a"],
        normal_label=None,
        now=ledger_driver.clock(),
    )
    frame = FramePrediction(frame=0, label="nodule", score=0.9, scores=[0.1, 0.9])
    further = (
        FurtherPrediction(bundle_id=trial, shadow=True, label="nodule", score=0.9, scores=[0.1, 0.9], frames=(frame,)),
    )
    ledger_driver.register(make_arrivals(1))
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    facts = Facts(study_instance_uid="1", frames=1)
    ledger_driver.record(batch, [build_outcome(image, bundle_id=bundle_id, facts=facts, further=further)])
    know(ledger_driver, "study", "1", nodule=True)
    (one,) = queries.results_with_truth(ledger_driver.database, "t" * 64)
    assert (one.label, one.scores) == ("nodule", (0.1, 0.9))
    assert found(ledger_driver)[0].label == "normal"
    assert list(queries.violations(ledger_driver.database)) == []
