"""The report of a study has one group per series, with the slices that speak for it."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import highdicom
import pydicom
import pytest
from dicom_files import phantom
from ledger_driver import LedgerDriver
from pydicom.dataset import Dataset
from series_driver import SERIES, STUDY, SeriesDriver

from db import queries
from delivery.content import content_digest
from delivery.identity import read_identity
from delivery.report import Revision, build_report, file_bytes
from delivery.study_selection import Scope, StudySelector
from nightread.settings import load_settings

PHANTOM = pydicom.dcmread(io.BytesIO(phantom(1)))
REVISION = Revision(sop_instance_uid="2.25.1", replaces=None, number=1, made_at=datetime(2026, 11, 5, 22, tzinfo=UTC))


@pytest.fixture
def series_driver(ledger_driver: LedgerDriver, tmp_path: Path) -> SeriesDriver:
    """A series whose third and fourth slice show a nodule."""
    driver = SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)
    driver.record([0, 5, 10, 15, 20], [0.1, 0.1, 0.75, 0.9, 0.1])
    driver.form()
    return driver


def report_of(driver: SeriesDriver) -> Dataset:
    """Build the report of the study, and read it as a receiver does."""
    identity = read_identity(
        phantom(1), study_instance_uid=str(PHANTOM.StudyInstanceUID), sop_instance_uid=str(PHANTOM.SOPInstanceUID)
    )
    study = queries.study_results(driver.ledger_driver.database, STUDY)
    built = build_report(study, REVISION, identity, not_for_diagnosis=True)
    return pydicom.dcmread(io.BytesIO(file_bytes(built)))


def test_one_group_names_the_slices_that_speak_for_the_series(series_driver: SeriesDriver) -> None:
    """The strongest slice comes first; the comment has the coverage."""
    built = report_of(series_driver)
    buffer = io.BytesIO()
    built.save_as(buffer)
    (group,) = highdicom.sr.srread(io.BytesIO(buffer.getvalue())).content.get_image_measurement_groups()
    assert group.tracking_identifier == "series 1 stack 1"
    assert [image.referenced_sop_instance_uid for image in group.source_images] == [f"{SERIES}.4", f"{SERIES}.3"]
    (evidence,) = built.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert {each.ReferencedSOPInstanceUID for each in evidence.ReferencedSOPSequence} == {f"{SERIES}.4", f"{SERIES}.3"}
    comment = built.ContentSequence[-1].TextValue
    assert "5 of 5 images analysed. Found: nodule (1). Series 1 stack 1: 5 of 5 slices." in comment


def test_a_late_slice_is_another_content(series_driver: SeriesDriver) -> None:
    """The report is sent again as a revision; the finding keeps its tracking UID."""
    before = queries.study_results(series_driver.ledger_driver.database, STUDY)
    first = _tracking_uid(report_of(series_driver))
    series_driver.record([25], [0.95])
    series_driver.form()
    after = queries.study_results(series_driver.ledger_driver.database, STUDY)
    digests = {content_digest(study, not_for_diagnosis=True) for study in (before, after)}
    assert len(digests) == 2
    assert _tracking_uid(report_of(series_driver)) == first


def test_a_report_waits_for_its_series(series_driver: SeriesDriver, tmp_path: Path) -> None:
    """A study with a series that collects is not ready."""
    driver = series_driver.ledger_driver
    settings = load_settings(state_dir=tmp_path, deliver_after_seconds=0)
    selector = StudySelector(settings, driver.database, Scope())
    assert list(selector.ready(driver.clock())) == [STUDY]
    series_driver.record([25], [0.95])
    assert list(selector.ready(driver.clock())) == []
    series_driver.form()
    assert list(selector.ready(driver.clock())) == [STUDY]


def test_reports_of_images_keep_their_content(series_driver: SeriesDriver) -> None:
    """A digest without series is that of earlier releases, so that no report is sent again after an upgrade."""
    study = queries.study_results(series_driver.ledger_driver.database, STUDY)
    of_image = replace(study.results[0], series=None)
    digest = content_digest(replace(study, results=(of_image,)), not_for_diagnosis=True)
    assert digest != content_digest(study, not_for_diagnosis=True)


def _tracking_uid(report: Dataset) -> str:
    buffer = io.BytesIO()
    report.save_as(buffer)
    (group,) = highdicom.sr.srread(io.BytesIO(buffer.getvalue())).content.get_image_measurement_groups()
    return str(group.tracking_uid)
