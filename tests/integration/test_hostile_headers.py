"""Headers with hostile text, from the file to the rows of the database."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_files import zip_file
from dicom_files import with_values
from hostile_texts import HOSTILE, UNSAFE
from ledger_driver import LedgerDriver
from worker_driver import BUNDLE, FakeNetwork, WorkerDriver

from db import queries
from db.tables import metadata
from models.routing import Condition, Rule, Rules
from worker.inference.model_set import LoadedModel, ModelSet
from worker.inference.predictor import Predictor

WRITTEN = {name: text for name, text in HOSTILE.items() if name != "lone surrogate"}
"""UTF-8 has no lone surrogates."""


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox and a network that accepts every image."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def _hostile(index: int, text: str) -> bytes:
    code = text.encode().decode("latin-1")  # pydicom writes codes and UIDs as Latin-1: the file holds UTF-8
    return with_values(
        index,
        SpecificCharacterSet="ISO_IR 192",
        StudyInstanceUID=f"1.2{code}",
        SeriesInstanceUID=f"1.3{code}",
        SOPInstanceUID=f"1.4{code}",
        Modality=code,
        BodyPartExamined=code,
        ImageType=["ORIGINAL", code],
        PresentationIntentType=code,
        ViewPosition=code,
        SeriesDescription=f"chest {text}",
        StudyDescription=text,
        IssuerOfPatientID=text,
        PatientID="12345",
    )


def _routed(driver: WorkerDriver) -> ModelSet:
    """Return the network behind a rule that stores the values which it compared."""
    when = ("modality=*", "image_type=*", "description=*", "view=*", "presentation_intent=*")
    rule = Rule(bundle=BUNDLE.reference, when=tuple(map(Condition.parse, when)), route_id=None)
    model = LoadedModel(predictor=Predictor(BUNDLE, FakeNetwork(), largest=8), bundle_id=driver.bundle_id)
    return ModelSet(Rules([rule]), {BUNDLE.reference: model})


def _stored_texts(driver: WorkerDriver) -> Iterator[tuple[str, str]]:
    with driver.ledger_driver.database.read() as connection:
        for table in metadata.sorted_tables:
            for row in connection.execute(table.select()):
                yield from ((f"{table.name}.{name}", text) for name, text in _texts(row._mapping))


def _texts(values: Any) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, dict | list):
            yield name, json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_a_hostile_header_costs_no_result_and_stores_no_control_character(
    worker_driver: WorkerDriver, text: str
) -> None:
    """The image keeps its result, the remark says that its UIDs are none, and every text column is harmless."""
    worker_driver.put(a=_hostile(1, text), b=zip_file({f"{text.replace(chr(0), '')}.dcm": _hostile(2, text)}))

    context = worker_driver.context(model_set=_routed(worker_driver))

    assert worker_driver.analyse(context) == {"done": 1, "expanded": 1, "with_remark": 1}
    assert worker_driver.analyse(context) == {"done": 1, "with_remark": 1}
    assert {row.remarks for row in worker_driver.ledger_driver.work()} == {"uid_wrong", None}
    stored = dict(_stored_texts(worker_driver))
    assert {"instances.modality", "instances.study_instance_uid", "work.matched"} <= stored.keys()
    for column, value in _stored_texts(worker_driver):
        assert not UNSAFE.search(value), column
        assert "\n" not in value, column


def test_an_image_with_long_uids_is_no_version_of_another(worker_driver: WorkerDriver) -> None:
    """UIDs that begin alike and are too long stay different, so that neither image replaces the other."""
    worker_driver.put(
        a=with_values(1, SeriesInstanceUID="1." + "3" * 80, SOPInstanceUID="1." + "4" * 80 + ".1"),
        b=with_values(2, SeriesInstanceUID="1." + "3" * 80, SOPInstanceUID="1." + "4" * 80 + ".2"),
    )
    worker_driver.analyse(worker_driver.context())

    rows = worker_driver.ledger_driver.instances()
    assert [row.superseded_by for row in rows] == [None, None]
    assert rows[0].sop_instance_uid != rows[1].sop_instance_uid
    assert rows[0].series_instance_uid == rows[1].series_instance_uid
    assert max(len(row.sop_instance_uid) for row in rows) == 64
    assert [row.remarks for row in worker_driver.ledger_driver.work()] == ["uid_wrong", "uid_wrong"]


def test_no_report_names_an_image_whose_uid_is_none(worker_driver: WorkerDriver) -> None:
    """A report with such a UID would be invalid; the other images of the study are reported, and the rest counted."""
    worker_driver.put(
        a=with_values(1, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4", SOPInstanceUID="1.2.3.5"),
        b=with_values(2, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4", SOPInstanceUID="1.2[/red]"),
        c=with_values(3, StudyInstanceUID="1.2[/red]", SeriesInstanceUID="1.2.3.4", SOPInstanceUID="1.2.3.6"),
    )
    worker_driver.analyse(worker_driver.context())

    database = worker_driver.ledger_driver.database
    study = queries.study_results(database, "1.2.3")
    assert ([one.sop_instance_uid for one in study.results], study.nameless) == (["1.2.3.5"], 1)
    other = queries.study_results(database, "1.2[/red]")
    assert (other.results, other.images, other.nameless) == ((), 0, 1)
