"""Images of another kind than those that a model was made for get no result, and results near the edge a remark."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dicom_files import as_rgb, damaged, darkened, modified_phantom, phantom, with_values
from domain_driver import analysed, model
from ledger_driver import LedgerDriver
from pydicom.dataset import FileDataset
from worker_driver import BUNDLE, WorkerDriver

from db import queries
from db.queries import ImageFilter
from imaging.prepare import prepare
from imaging.read import read
from models.domain import Domain
from models.input_range import InputRange
from models.routing import Role

MR = "1.2.840.10008.5.1.4.1.1.4"
CHEST = Domain(modalities=("DX",), body_parts=("CHEST",), samples=(1,))


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def range_of_phantoms() -> InputRange:
    """Return the intensities of some phantoms."""
    frames = [prepare(frame, BUNDLE.spec) for number in range(40) for frame in read(phantom(number)).frames()]
    return InputRange.measure([np.stack(frames)])


def test_images_of_another_kind_are_rejected(worker_driver: WorkerDriver) -> None:
    """The reason says which, and the detail what does not fit; a film without BodyPartExamined is analysed."""
    worker_driver.put(
        film=phantom(1),
        nameless=modified_phantom(2, lambda dataset: dataset.__delattr__("BodyPartExamined")),
        head=with_values(3, Modality="MR", SOPClassUID=MR, BodyPartExamined="HEAD"),
        localizer=with_values(4, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        test_object=with_values(5, QualityControlImage="YES"),
    )

    assert analysed(worker_driver, (model(worker_driver, CHEST), Role.ANSWER)) == {
        "film": ("done", "clear", None),
        "nameless": ("done", "clear", None),
        "head": ("rejected", "out_of_domain", None),
        "localizer": ("rejected", "localizer", None),
        "test_object": ("rejected", "quality_control", None),
    }
    (head,) = queries.images(worker_driver.ledger_driver.database, ImageFilter(reasons=("out_of_domain",)))
    assert head["detail"] == (
        "The model was not made for this image: Modality is not DX; BodyPartExamined is not CHEST."
    )
    assert (head["modality"], head["model"], head["scores"]) == ("MR", None, None)


def test_the_frames_of_a_refused_image_are_not_decoded(worker_driver: WorkerDriver) -> None:
    """Whether its pixels are damaged does not matter."""
    worker_driver.put(film=damaged(1, "DX"), head=damaged(2, "MR"))

    assert analysed(worker_driver, (model(worker_driver, CHEST), Role.ANSWER)) == {
        "film": ("rejected", "bad_pixels", None),
        "head": ("rejected", "out_of_domain", None),
    }


def test_any_domain_analyses_every_image_and_marks_every_result(worker_driver: WorkerDriver) -> None:
    """A result that the domain allows is marked too: nobody looked."""
    worker_driver.put(
        film=phantom(1),
        head=with_values(2, Modality="MR", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        black=darkened(3, 0.01),
        text=b"no image",
    )
    narrow = replace(CHEST, intensities=range_of_phantoms())

    assert analysed(worker_driver, (model(worker_driver, narrow), Role.ANSWER), any_domain=True) == {
        "film": ("done", "clear", ["any_domain"]),
        "head": ("done", "clear", ["any_domain"]),
        "black": ("done", "clear", ["any_domain"]),
        "text": ("rejected", "not_dicom", None),
    }
    assert queries.remarks(worker_driver.ledger_driver.database) == {"any_domain": 3}


def test_intensities_far_from_those_of_the_training_images_are_rejected(worker_driver: WorkerDriver) -> None:
    """A bit less bright is near the edge: the result has a remark."""
    worker_driver.put(film=phantom(77), dim=darkened(2, 0.7), dark=darkened(3, 0.06))
    films = replace(CHEST, intensities=range_of_phantoms())

    assert analysed(worker_driver, (model(worker_driver, films), Role.ANSWER)) == {
        "film": ("done", "clear", None),
        "dim": ("done", "clear", ["near_domain_edge"]),
        "dark": ("rejected", "out_of_domain", None),
    }
    (dim,) = queries.images(worker_driver.ledger_driver.database, ImageFilter(remarks=("near_domain_edge",)))
    assert dim["detail"] == "The intensities of the image are slightly outside of the range of the training images."
    (dark,) = queries.images(worker_driver.ledger_driver.database, ImageFilter(reasons=("out_of_domain",)))
    assert "its intensities are far from those of the training images" in dark["detail"]


def test_remarks_of_decoding_reach_the_row_of_the_result(worker_driver: WorkerDriver) -> None:
    """Frames behind the first 64 are decoded while the network predicts; their remarks are stored all the same."""

    def repeat(dataset: FileDataset) -> None:
        dataset.NumberOfFrames, dataset.PixelData = 70, dataset.PixelData * 70
        dataset.WindowWidth = "0"

    worker_driver.put(still=with_values(1, WindowWidth="0"), cine=modified_phantom(2, repeat), good=phantom(3))

    assert analysed(worker_driver, (model(worker_driver, CHEST), Role.ANSWER)) == {
        "still": ("done", "clear", ["voi_not_used"]),
        "cine": ("done", "clear", ["voi_not_used"]),
        "good": ("done", "clear", None),
    }
    (still, cine) = queries.images(worker_driver.ledger_driver.database, ImageFilter(remarks=("voi_not_used",)))
    assert still["detail"] == cine["detail"]
    assert still["detail"].endswith("The full range was used.")


@pytest.mark.parametrize(("tint", "outcome"), [(0, ("done", "clear", None)), (60, ("rejected", "out_of_domain", None))])
def test_a_grey_picture_stored_in_colour_is_a_grey_picture(
    worker_driver: WorkerDriver, tint: int, outcome: tuple[str, str, None]
) -> None:
    """A gateway may write a film as RGB; a coloured picture is something else."""
    worker_driver.put(film=as_rgb(1, tint=tint))

    assert analysed(worker_driver, (model(worker_driver, CHEST), Role.ANSWER)) == {"film": outcome}


def test_each_model_has_its_own_domain(worker_driver: WorkerDriver) -> None:
    """The answer's model decides; results of further models are stored, and their refusals with the reason."""
    chest = model(worker_driver, CHEST)
    heads = model(worker_driver, Domain(modalities=("MR",)), "heads")
    trial = model(worker_driver, None, "trial")
    worker_driver.put(film=phantom(1), head=with_values(2, Modality="MR", BodyPartExamined="HEAD"))

    assert analysed(worker_driver, (chest, Role.ANSWER), (heads, Role.FURTHER), (trial, Role.SHADOW)) == {
        "film": ("done", "clear", None),
        "head": ("rejected", "out_of_domain", None),
    }
    database = worker_driver.ledger_driver.database

    def rows(**wanted: object) -> list[tuple[int, str, str | None]]:
        found = queries.images(database, ImageFilter(**wanted))  # type: ignore[arg-type]
        return [(row["image_id"], row["state"], row["label"] or row["reason"]) for row in found]

    assert rows(models=("heads",)) == [(1, "rejected", "out_of_domain"), (2, "done", "clear")]
    assert rows(shadow=True) == [(1, "done", "clear"), (2, "done", "clear")]
    assert list(queries.violations(database)) == []
