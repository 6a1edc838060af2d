"""What later frames or the window of an image mean for one model does not touch the results of other models."""

from dataclasses import replace
from pathlib import Path

import pytest
from dicom_files import flickering, modified_phantom
from domain_driver import analysed, model
from ledger_driver import LedgerDriver
from pydicom.dataset import Dataset, FileDataset
from worker_driver import BUNDLE, FakeNetwork, WorkerDriver

from db import queries
from db.queries import ImageFilter
from imaging.spec import Intensity
from models.domain import Domain
from models.routing import Role
from worker.inference.model_set import LoadedModel
from worker.inference.predictor import Predictor

CHEST = Domain(modalities=("DX",), body_parts=("CHEST",), samples=(1,))


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def _results(
    worker_driver: WorkerDriver, name: str, *, shadow: bool = False
) -> list[tuple[str, str | None, list[str] | None, str | None]]:
    """Return state, label or reason, remarks and detail of the results of a model."""
    rows = queries.images(worker_driver.ledger_driver.database, ImageFilter(models=(name,), shadow=shadow))
    return [(row["state"], row["label"] or row["reason"], row["remarks"], row["detail"]) for row in rows]


def _with_intensity(loaded: LoadedModel, intensity: Intensity) -> LoadedModel:
    bundle = replace(loaded.bundle, spec=replace(BUNDLE.spec, intensity=intensity))
    return replace(loaded, predictor=Predictor(bundle, FakeNetwork()))


def without_window(index: int, frames: int = 1, *, faulty: int = 0) -> bytes:
    """Return a phantom of so many frames whose window cannot be used from the frame `faulty` on."""

    def window(width: str) -> Dataset:
        item, values = Dataset(), Dataset()
        values.WindowCenter, values.WindowWidth = "2048", width
        item.FrameVOILUTSequence = [values]
        return item

    def change(dataset: FileDataset) -> None:
        dataset.NumberOfFrames, dataset.PixelData = frames, dataset.PixelData * frames
        del dataset.WindowCenter, dataset.WindowWidth
        dataset.PerFrameFunctionalGroupsSequence = [window("0" if n >= faulty else "4096") for n in range(frames)]

    return modified_phantom(index, change)


@pytest.mark.parametrize(("frames", "faulty"), [(1, 0), (3, 1), (150, 0), (150, 100)])
def test_a_refusal_by_a_shadow_model_does_not_cost_the_answer(
    worker_driver: WorkerDriver, frames: int, faulty: int
) -> None:
    """It is stored as a row; frames behind the first 64 are decoded while the network predicts."""
    fixed = _with_intensity(model(worker_driver, None), Intensity(kind="window", low=0, high=4095))
    strict = _with_intensity(model(worker_driver, None, "strict"), Intensity(kind="voi", unusable="refuse"))
    lenient = _with_intensity(model(worker_driver, None, "lenient"), Intensity(kind="voi"))
    worker_driver.put(film=without_window(1, frames, faulty=faulty), good=without_window(2, 2, faulty=2))

    assert analysed(worker_driver, (fixed, Role.ANSWER), (strict, Role.SHADOW), (lenient, Role.FURTHER)) == {
        "film": ("done", "clear", None),
        "good": ("done", "clear", None),
    }
    database = worker_driver.ledger_driver.database
    assert [row[:3] for row in _results(worker_driver, "strict", shadow=True)] == [
        ("rejected", "voi_unusable", None),
        ("done", "clear", None),
    ]
    assert [row[2] for row in _results(worker_driver, "lenient")] == [["voi_not_used"], None]
    assert list(queries.violations(database)) == []


def test_a_refusal_by_the_model_of_the_answer_rejects_the_image(worker_driver: WorkerDriver) -> None:
    """The results of the other models are stored, as with a domain."""
    strict = _with_intensity(model(worker_driver, None, "strict"), Intensity(kind="voi", unusable="refuse"))
    fixed = _with_intensity(model(worker_driver, None), Intensity(kind="window", low=0, high=4095))
    worker_driver.put(film=without_window(1, 3, faulty=1))

    assert analysed(worker_driver, (strict, Role.ANSWER), (fixed, Role.FURTHER)) == {
        "film": ("rejected", "voi_unusable", None)
    }
    assert [row[:3] for row in _results(worker_driver, "chest")] == [("done", "clear", None)]


@pytest.mark.parametrize(
    ("colours", "outcome"),
    [
        ([False, False], "clear"),
        ([True, False], "out_of_domain"),
        ([False, True], "out_of_domain"),
        ([False] * 99 + [True], "out_of_domain"),
    ],
    ids=["grey", "first", "second", "hundredth"],
)
def test_one_coloured_frame_makes_an_image_coloured(
    worker_driver: WorkerDriver, colours: list[bool], outcome: str
) -> None:
    """A cine often begins with a black frame. A model for all images answers."""
    chest, anything = model(worker_driver, CHEST), model(worker_driver, None, "anything")
    worker_driver.put(cine=flickering(1, colours))

    (row,) = analysed(worker_driver, (chest, Role.ANSWER), (anything, Role.FURTHER)).values()

    assert row[1] == outcome
    assert [row[:2] for row in _results(worker_driver, "anything")] == [("done", "clear")]
    rejected = queries.images(worker_driver.ledger_driver.database, ImageFilter(reasons=("out_of_domain",)))
    assert [row["detail"] for row in rejected] == ["The model was not made for this image: it is in colour."] * (
        outcome != "clear"
    )


@pytest.mark.parametrize(("colours", "outcome"), [([False, True], "clear"), ([False, False], "out_of_domain")])
def test_a_model_for_colours_takes_a_cine_that_begins_black(
    worker_driver: WorkerDriver, colours: list[bool], outcome: str
) -> None:
    """All frames of this cine count, not only the first one."""
    worker_driver.put(cine=flickering(1, colours))

    (row,) = analysed(worker_driver, (model(worker_driver, Domain(samples=(3,))), Role.ANSWER)).values()

    assert row[1] == outcome
