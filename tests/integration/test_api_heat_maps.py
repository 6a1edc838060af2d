"""Heat maps over HTTP: where the evidence for a finding lies, and why there may be none."""

from collections.abc import Iterator

import numpy as np
import pytest
from databases import NewSqlite
from dicom_files import phantom
from shown_images import ShownImages, pixels_of, shown_images
from sqlalchemy import update

from db.tables import State, bundles
from models.phantoms.dicom import phantom_file
from models.phantoms.truth_file import PhantomTruth
from nightread.reasons import Reason


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, new_sqlite: NewSqlite) -> Iterator[ShownImages]:
    """The API with its defaults; one process computes all heat maps."""
    with shown_images(tmp_path_factory.mktemp("heat"), new_sqlite) as images:
        yield images


@pytest.fixture(scope="module")
def film() -> tuple[bytes, PhantomTruth]:
    """The first film with a lesion, and where it is."""
    films = (phantom_file(seed=424_242, index=index) for index in range(99))
    return next((content, truth) for content, truth in films if truth.lesions)


@pytest.fixture(scope="module")
def image_id(images: ShownImages, film: tuple[bytes, PhantomTruth]) -> int:
    """The film with its result."""
    return images.add(film[0], name="film.dcm", bundle_id=images.phantom_bundle(), label="nodule")


@pytest.mark.slow
def test_the_heat_lies_on_the_lesion(images: ShownImages, image_id: int, film: tuple[bytes, PhantomTruth]) -> None:
    """A transparent layer of the size of the preview: a browser lays it over it."""
    layer = pixels_of(images.get(image_id, "heatmap.png"))
    assert layer.shape == (256, 256, 4)
    row, column = np.unravel_index(layer[..., 3].astype(int).argmax(), layer.shape[:2])
    distances = [np.hypot(row - lesion.row, column - lesion.column) - lesion.radius for lesion in film[1].lesions]
    assert min(distances) < 12
    assert np.median(layer[..., 3]) < 40


def test_the_overlay_is_drawn_over_the_picture(images: ShownImages, image_id: int) -> None:
    """In colour where there is evidence, the film in grey elsewhere; the same viewport as the preview."""
    response = images.get(image_id, "heatmap.png", overlay=1, viewport="128,128")
    assert response.headers["nightread-evidence"] == "above threshold"
    blended, plain = pixels_of(response).astype(int), pixels_of(images.get(image_id, viewport="128,128")).astype(int)
    assert blended.shape == (128, 128, 3)
    colour = np.ptp(blended, axis=2)
    assert colour.max() > 50
    grey = colour == 0
    assert grey.mean() > 0.2
    assert np.abs(blended[..., 0] - plain)[grey].max() <= 8


def test_there_is_nothing_to_explain_without_a_finding(images: ShownImages) -> None:
    """A normal result, a rejected image: a sentence says so. Any label can be asked for."""
    bundle_id = images.phantom_bundle()
    normal = images.add(phantom(1), name="normal.dcm", bundle_id=bundle_id, label="clear")
    response = images.get(normal, "heatmap.png")
    assert (response.status_code, "name a label with `label`" in response.json()["detail"]) == (409, True)
    assert pixels_of(images.get(normal, "heatmap.png", label="nodule")).shape == (64, 64, 4)
    unknown = images.get(normal, "heatmap.png", label="<b>mass</b>")
    assert (unknown.status_code, "<b>" in unknown.text) == (422, False)
    beyond = images.get(normal, "heatmap.png", label="nodule", frame=2)
    assert (beyond.status_code, "the image has 1 frame" in beyond.json()["detail"]) == (422, True)
    rejected = images.add(phantom(2), name="r.dcm", state=State.REJECTED, reason=Reason.NO_MODEL)
    assert "state is rejected (no_model)" in images.get(rejected, "heatmap.png").json()["detail"]


def test_a_copy_is_explained_by_the_result_of_the_first(
    images: ShownImages, image_id: int, film: tuple[bytes, PhantomTruth]
) -> None:
    """It has no result of its own; its bytes are the same."""
    copy = images.add(film[0], name="copy.dcm", state=State.DUPLICATE, duplicate_of=image_id)
    assert pixels_of(images.get(copy, "heatmap.png")).shape == (256, 256, 4)


def test_a_model_that_is_gone_cannot_explain(images: ShownImages, image_id: int) -> None:
    """Its bundle was removed or changed."""
    with images.database.writer.begin() as connection:
        digest = connection.exec_driver_sql("SELECT digest FROM bundles").scalar_one()
        connection.execute(update(bundles).values(digest="e" * 64))
    try:
        response = images.get(image_id, "heatmap.png")
        assert (response.status_code, "not installed any more" in response.json()["detail"]) == (409, True)
    finally:
        with images.database.writer.begin() as connection:
            connection.execute(update(bundles).values(digest=digest))


def test_an_image_that_is_gone_has_no_heat_map(images: ShownImages) -> None:
    """Its file was moved away."""
    image_id = images.add(phantom(5), name="gone.dcm", bundle_id=images.phantom_bundle(), label="nodule")
    (images.folder / "gone.dcm").unlink()
    assert images.get(image_id, "heatmap.png").status_code == 410


def test_a_heat_map_is_computed_once(images: ShownImages, image_id: int) -> None:
    """It is kept on disk; a copy of the image has the same heat, by its own bytes."""
    first = images.get(image_id, "heatmap.png")
    process = images.client.app.state.pictures.processes[-1]  # type: ignore[attr-defined]
    process.close()
    again = images.get(image_id, "heatmap.png")
    assert (again.content, process.is_running) == (first.content, False)
