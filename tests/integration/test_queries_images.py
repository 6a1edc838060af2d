"""Filters find the right images, with all their values, on both databases."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from ledger_driver import LedgerDriver, SettableClock

from db import ledger, queries
from db.ledger import Arrival, FramePrediction
from db.queries import ImageFilter
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason

MakeArrivals = Callable[..., list[Arrival]]


def test_an_image_has_all_names_that_programs_rely_on(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """It has the full path, scores by label and aware times."""
    ledger_driver.register(make_arrivals(1, uri="ward%20a/scan%0A.dcm"))
    facts = Facts(sop_instance_uid="1.2.3", modality="CR", rows=512, columns=256, frames=1)
    ledger_driver.analyse_all(
        bundle_id=bundle_id, facts=facts, content="b" * 64, label="nodule", score=0.8, scores=[0.2, 0.8]
    )

    (image,) = queries.images(ledger_driver.database)

    assert tuple(image) == queries.COLUMNS
    assert image["uri"] == "/inbox/ward a/scan%0A.dcm"
    assert image["scores"] == {"normal": 0.2, "nodule": 0.8}
    assert (image["model"], image["model_version"], image["label"]) == ("phantom", "1", "nodule")
    assert (image["rows"], image["columns"], image["modality"]) == (512, 256, "CR")
    assert image["received_at"] == image["finished_at"] == datetime(2026, 11, 5, 22, tzinfo=UTC)
    assert image["received_at"].tzinfo is UTC
    assert image["reason"] is image["duplicate_of"] is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ImageFilter(), [1, 2, 3, 4, 5, 6]),
        (ImageFilter(states=("done",)), [1, 2]),
        (ImageFilter(states=("received",)), [6]),
        (ImageFilter(states=("queued", "running")), []),
        (ImageFilter(states=("done", "received")), [1, 2, 6]),
        (ImageFilter(reasons=("truncated",)), [4]),
        (ImageFilter(labels=("nodule",)), [2]),
        (ImageFilter(labels=("nodule",), min_score=0.95), []),
        (ImageFilter(min_score=0.7), [2]),
        (ImageFilter(max_score=0.7), [1]),
        (ImageFilter(modalities=("CR",)), [2]),
        (ImageFilter(patient_keys=("p" * 64,)), [1]),
        (ImageFilter(patient_keys=("p" * 64,), labels=("nodule",)), []),
        (ImageFilter(patient_keys=("p" * 64,), states=("done",), reasons=()), [1]),
        (ImageFilter(accession_keys=("a" * 64,)), [1]),
        (ImageFilter(study_instance_uid="1.1"), [1]),
        (ImageFilter(series_instance_uid="1.2"), [1]),
        (ImageFilter(sop_instance_uid="1.3"), [1]),
        (ImageFilter(sha256="1" * 64), [1]),
        (ImageFilter(image_ids=(2, 5, 99)), [2, 5]),
        (ImageFilter(sources=("inbox",)), [1, 2, 3, 4, 5, 6]),
        (ImageFilter(sources=("nowhere",)), []),
        (ImageFilter(since=datetime(2026, 11, 5, 23, tzinfo=UTC)), [6]),
        (ImageFilter(until=datetime(2026, 11, 5, 23, tzinfo=UTC), reasons=("truncated", "timeout")), [4, 5]),
        (ImageFilter(limit=2), [1, 2]),
        (ImageFilter(sort="score"), [2, 1]),
        (ImageFilter(sort="suspicion"), [2, 1]),
        (ImageFilter(sort="finished", limit=1), [5]),
    ],
    ids=str,
)
def test_a_filter_finds_exactly_the_images_that_match(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int, wanted: ImageFilter, found: list[int]
) -> None:
    """Each condition holds, alone and with others."""
    _six_images(ledger_driver, make_arrivals, bundle_id)

    assert [image["image_id"] for image in queries.images(ledger_driver.database, wanted)] == found


def test_frames_are_rows_of_their_own(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int) -> None:
    """Each frame has its own scores, in order; an image without predictions is one row without a frame."""
    ledger_driver.register(make_arrivals(1))
    frames = tuple(
        FramePrediction(frame=number, label="nodule", score=score, scores=[1 - score, score])
        for number, score in enumerate((0.75, 0.5))
    )
    ledger_driver.analyse_all(bundle_id=bundle_id, label="nodule", score=0.75, scores=[0.25, 0.75], frames=frames)
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.EMPTY)

    rows = list(queries.images(ledger_driver.database, ImageFilter(per_frame=True)))

    assert [(row["image_id"], row["frame"], row["score"]) for row in rows] == [
        (1, 0, 0.75),
        (1, 1, 0.5),
        (2, None, None),
    ]
    assert rows[1]["scores"] == {"normal": 0.5, "nodule": 0.5}


def test_remarks_are_words_that_can_be_searched(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """Whole words match, alone and with other conditions; a result without a remark has none."""
    for remarks in ("voi_not_used", None, "frames_left_out voi_not_used", "frames_left_out"):
        ledger_driver.register(make_arrivals(1))
        ledger_driver.analyse_all(remarks=remarks, detail=remarks and "A sentence.")

    def found(**wanted: Any) -> list[int]:
        return [image["image_id"] for image in queries.images(ledger_driver.database, ImageFilter(**wanted))]

    assert [image["remarks"] for image in queries.images(ledger_driver.database)] == [
        ["voi_not_used"],
        None,
        ["frames_left_out", "voi_not_used"],
        ["frames_left_out"],
    ]
    assert found(remarks=("voi_not_used",)) == [1, 3]
    assert found(remarks=("voi_not_used",), limit=1) == [1]
    assert found(remarks=("voi_not_used", "frames_left_out"), states=("done",), labels=("normal",)) == [1, 3, 4]
    assert found(remarks=("voi_not_used",), image_ids=(2, 3)) == [3]
    assert found(remarks=("left_out",)) == []
    assert found(remarks=("voi%",)) == []
    assert queries.remarks(ledger_driver.database) == {"voi_not_used": 2, "frames_left_out": 2}
    assert queries.remarks(ledger_driver.database, [999]) == {}


def test_every_arrival_is_listed_and_current_versions_on_request(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """There is one row per arrival, an older version names the newer one, and `current` leaves it out."""
    facts = Facts(sop_instance_uid="1.3", series_instance_uid="1.2")
    for _ in range(2):
        ledger_driver.register(make_arrivals(1))
        ledger_driver.analyse_all(facts=facts)

    shown = list(queries.images(ledger_driver.database, ImageFilter()))
    assert [(image["image_id"], image["superseded_by"]) for image in shown] == [(1, 2), (2, None)]
    current = queries.images(ledger_driver.database, ImageFilter(current=True))
    assert [image["image_id"] for image in current] == [2]


@pytest.mark.parametrize(
    ("labels", "normal_label", "scores", "suspicion"),
    [
        (["clear", "nodule"], "clear", [0.75, 0.25], 0.25),
        (["a", "b", "c"], "none", [0.25, 0.75, 0.5], 0.75),
        (["a"], "none", [0.5], 0.5),
    ],
)
def test_suspicion_in_sql_equals_that_of_postprocessing(
    ledger_driver: LedgerDriver,
    make_arrivals: MakeArrivals,
    labels: list[str],
    normal_label: str,
    scores: list[float],
    suspicion: float,
) -> None:
    """The image is ranked between one with a slightly lower and one with a slightly higher suspicion."""
    bundle = ledger.register_bundle(
        ledger_driver.database,
        name="x",
        version="1",
        digest="e" * 64,
        labels=labels,
        normal_label=normal_label,
        now=ledger_driver.clock(),
    )
    probe = ledger.register_bundle(
        ledger_driver.database,
        name="y",
        version="1",
        digest="f" * 64,
        labels=["p"],
        normal_label="n",
        now=ledger_driver.clock(),
    )
    for number, values in ((bundle, scores), (probe, [suspicion - 0.01]), (probe, [suspicion + 0.01])):
        ledger_driver.register(make_arrivals(1))
        ledger_driver.analyse_all(bundle_id=number, scores=values)

    ranked = queries.images(ledger_driver.database, ImageFilter(sort="suspicion"))

    assert [image["image_id"] for image in ranked] == [3, 1, 2]


def test_images_are_streamed(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """The first rows are available before the last ones are read, and an early end frees the connection."""
    ledger_driver.register(make_arrivals(3000))

    stream = queries.images(ledger_driver.database)
    first = next(stream)
    stream.close()

    assert first["image_id"] == 1
    assert ledger_driver.database.reader.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_an_image_can_be_written_as_json(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """Its values are only numbers, text, dicts and times."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all()

    (image,) = queries.images(ledger_driver.database)

    assert json.loads(json.dumps(image, default=datetime.isoformat))["finished_at"] == "2026-11-05T22:00:00+00:00"


def _six_images(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int) -> None:
    """Images: 1 normal, 2 nodule, 3 duplicate of 2, 4 rejected, 5 failed, 6 waiting, two hours later."""
    clock: SettableClock = ledger_driver.clock
    keys = {"patient_key": "p" * 64, "accession_key": "a" * 64}
    uids = {"study_instance_uid": "1.1", "series_instance_uid": "1.2", "sop_instance_uid": "1.3"}
    outcomes: list[dict[str, Any]] = [
        {"content": "1" * 64, "label": "normal", "score": 0.6, "scores": [0.6, 0.4], "facts": Facts(**keys, **uids)},
        {"content": "2" * 64, "label": "nodule", "score": 0.9, "scores": [0.1, 0.9], "facts": Facts(modality="CR")},
        {"state": State.DUPLICATE, "duplicate_of": 2},
        {"state": State.REJECTED, "reason": Reason.TRUNCATED},
        {"state": State.FAILED, "reason": Reason.TIMEOUT},
    ]
    for outcome in outcomes:
        ledger_driver.register(make_arrivals(1))
        ledger_driver.analyse_all(bundle_id=bundle_id, **outcome)
        clock.advance(minutes=1)
    clock.advance(hours=2)
    ledger_driver.register(make_arrivals(1))
