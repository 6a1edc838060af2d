"""`nightread query --series` shows results, evidence and coverage of series."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ledger_driver import LedgerDriver
from series_driver import SERIES, STUDY, SeriesDriver

Nightread = Callable[..., tuple[int, str, str]]


@pytest.fixture
def series_driver(ledger_driver: LedgerDriver, tmp_path: Path) -> SeriesDriver:
    """A formed series of three slices, and one that still collects."""
    driver = SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)
    driver.record([0, 5, 10], [0.1, 0.9, 0.1])
    driver.form()
    driver.record([0, 5], series="1.2.3.5", study="1.2.9")
    return driver


pytestmark = pytest.mark.usefixtures("series_driver")


def as_json(nightread: Nightread, *arguments: str) -> Any:
    """Return what the command prints as JSON."""
    code, text, _ = nightread("query", *arguments, "--format", "json")
    assert code == 0
    return json.loads(text)


def test_a_row_per_series_has_result_evidence_and_coverage(nightread: Nightread) -> None:
    """A series that still collects is listed without a result."""
    formed, collecting = sorted(as_json(nightread, "--series"), key=lambda row: row["model"] is None)
    assert (formed["series_instance_uid"], formed["label"], formed["slices"], formed["of_slices"]) == (
        SERIES,
        "nodule",
        3,
        3,
    )
    assert formed["evidence"] == [{"place": 2, "image_id": 2, "frame": 0, "score": 0.9}]
    assert (formed["scores"]["nodule"], formed["partial"], formed["revision"]) == (pytest.approx(0.9), False, 1)
    assert (collecting["series_state"], collecting["state"], collecting["evidence"]) == ("collecting", None, [])


def test_the_table_is_for_people(nightread: Nightread) -> None:
    """The coverage is written as people say it."""
    text = nightread("query", "--series", "--study", STUDY)[1]
    assert "nodule" in text
    assert "3 of 3" in text


def test_csv_has_the_evidence_as_words(nightread: Nightread) -> None:
    """One row per stack and bundle."""
    lines = nightread("query", "--series", "--study", STUDY, "--format", "csv")[1].splitlines()
    assert len(lines) == 2
    assert '"place=2,image=2,frame=0"' in lines[1]


def test_a_uid_still_lists_the_images_of_the_series(nightread: Nightread) -> None:
    """In the table the result of the series comes first."""
    assert [row["image_id"] for row in as_json(nightread, "--series", SERIES)] == [1, 2, 3]
    assert "3 of 3" in nightread("query", "--series", SERIES)[1]


@pytest.mark.parametrize("label", ["nodule", "absent"])
def test_the_result_of_a_series_and_its_images_have_one_note(nightread: Nightread, label: str) -> None:
    """Below the images, or below the line that no image matches."""
    text = nightread("query", "--series", SERIES, "--label", label)[1]
    assert text.count("Not for diagnosis.") == 1
    assert text.index("Not for diagnosis.") > text.index("No image matches." if label == "absent" else "image")


def test_other_conditions_are_refused(nightread: Nightread) -> None:
    """A series has one result, so conditions on images do not fit."""
    code, _, message = nightread("query", "--series", "--label", "nodule")
    assert code == 2
    assert "--series without a UID lists whole series" in message


def test_studies_show_the_results_of_their_series(nightread: Nightread) -> None:
    """In a few words each."""
    rows = as_json(nightread, "--studies")
    assert {row["study_instance_uid"]: row["series_results"] for row in rows} == {
        STUDY: ["nodule 0.90 (3 of 3)"],
        "1.2.9": ["collecting"],
    }
