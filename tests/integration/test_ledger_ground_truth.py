"""Imported ground truth is matched with the results that it concerns."""

from collections.abc import Callable

from ledger_driver import LedgerDriver, build_outcome

from db import ledger, queries
from db.ledger import Arrival, FramePrediction, FurtherPrediction, GroundTruth, Subject
from db.queries import ResultWithTruth
from imaging.facts import Facts

MakeArrivals = Callable[..., list[Arrival]]
DIGEST = "d" * 64


def import_labels(ledger_driver: LedgerDriver, subject: Subject, key: str, **labels: bool) -> int:
    """Import the labels of one key."""
    known = [GroundTruth(subject=subject, key=key, label=label, present=present) for label, present in labels.items()]
    return ledger.save_ground_truth(ledger_driver.database, known, actor="alice", now=ledger_driver.clock())


def analyse_images(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int, *facts: Facts) -> None:
    """Analyse one image per header, each with a result of the bundle."""
    for header in facts:
        ledger_driver.register(make_arrivals(1))
        ledger_driver.analyse_all(bundle_id=bundle_id, facts=header)


def results(ledger_driver: LedgerDriver, **span: object) -> list[ResultWithTruth]:
    """Return the results with truth of the one bundle."""
    return queries.results_with_truth(ledger_driver.database, DIGEST, **span)  # type: ignore[arg-type]


def test_truth_is_matched_by_image_study_and_order(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """Labels of the image go before those of its study, and these before its order."""
    analyse_images(
        ledger_driver,
        make_arrivals,
        bundle_id,
        Facts(sop_instance_uid="1.1", study_instance_uid="1", accession_key="x", patient_key="p"),
        Facts(sop_instance_uid="1.2", study_instance_uid="1", accession_key="x"),
        Facts(sop_instance_uid="2.1", study_instance_uid="2", accession_key="x"),
        Facts(sop_instance_uid="3.1"),
    )
    import_labels(ledger_driver, "accession", "x", nodule=False)
    import_labels(ledger_driver, "study", "1", nodule=True)
    import_labels(ledger_driver, "sop", "1.1", nodule=False, scar=True)
    assert [(result.image_id, result.truth) for result in results(ledger_driver)] == [
        (1, {"nodule": False, "scar": True}),
        (2, {"nodule": True}),
        (3, {"nodule": False}),
    ]
    assert results(ledger_driver)[0].patient_key == "p"
    assert results(ledger_driver)[0].scores == (0.75, 0.25)
    assert queries.coverage(ledger_driver.database, DIGEST).analysed == 4
    assert queries.coverage(ledger_driver.database, DIGEST).keys == 3


def test_results_of_any_domain_are_counted(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """Figures of a night may include images that the model was not made for; the command says how many."""
    for remarks in ("any_domain", "voi_not_used any_domain", "voi_not_used", None):
        ledger_driver.register(make_arrivals(1))
        ledger_driver.analyse_all(bundle_id=bundle_id, remarks=remarks)

    counted = queries.coverage(ledger_driver.database, DIGEST)
    assert (counted.analysed, counted.unchecked) == (4, 2)


def test_all_labels_of_a_key_are_replaced(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """A corrected file removes all labels of the wrong file."""
    analyse_images(ledger_driver, make_arrivals, bundle_id, Facts(study_instance_uid="1"))
    import_labels(ledger_driver, "study", "1", nodule=True, scar=True)
    assert import_labels(ledger_driver, "study", "1", clear=True) == 1
    assert [result.truth for result in results(ledger_driver)] == [{"clear": True}]
    assert queries.known_keys(ledger_driver.database, "study", ["1", "2"]) == 1


def test_only_current_images_of_the_time_count(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """Older versions and images that arrived at another time are left out."""
    uids = {"sop_instance_uid": "1.1", "series_instance_uid": "1", "study_instance_uid": "1"}
    analyse_images(ledger_driver, make_arrivals, bundle_id, Facts(**uids), Facts(**uids))
    evening = ledger_driver.clock()
    ledger_driver.clock.advance(hours=24)
    analyse_images(ledger_driver, make_arrivals, bundle_id, Facts(study_instance_uid="1"))
    import_labels(ledger_driver, "study", "1", nodule=True)
    assert [result.image_id for result in results(ledger_driver)] == [2, 3]
    assert [result.image_id for result in results(ledger_driver, since=evening, until=ledger_driver.clock())] == [2]
    assert queries.coverage(ledger_driver.database, DIGEST, since=evening, until=ledger_driver.clock()).analysed == 1


def test_a_bundle_on_trial_has_its_own_results(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """Its results, and no others, are found by its digest."""
    trial = ledger_driver.register_trial_bundle()
    frame = FramePrediction(frame=0, label="nodule", score=0.9, scores=[0.1, 0.9])
    further = (
        FurtherPrediction(bundle_id=trial, shadow=True, label="nodule", score=0.9, scores=[0.1, 0.9], frames=(frame,)),
    )
    ledger_driver.register(make_arrivals(1))
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    facts = Facts(study_instance_uid="1", frames=1)
    ledger_driver.record(batch, [build_outcome(image, bundle_id=bundle_id, facts=facts, further=further)])
    import_labels(ledger_driver, "study", "1", nodule=True)
    (result,) = queries.results_with_truth(ledger_driver.database, "t" * 64)
    assert (result.label, result.scores) == ("nodule", (0.1, 0.9))
    assert results(ledger_driver)[0].label == "normal"
    assert list(queries.violations(ledger_driver.database)) == []
