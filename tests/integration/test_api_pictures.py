"""Pictures over HTTP: what a person sees of an image, and why there may be nothing to see."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from databases import NewSqlite
from dicom_files import as_rgb, cine, flickering, phantom, structured_report, with_values
from fastapi.testclient import TestClient
from pydicom.uid import SecondaryCaptureImageStorage
from shown_images import ShownImages, pixels_of, shown_images
from web_server import Reply, running_web_server

from api.pictures.cache import FOLDER
from db import ledger
from db.ledger import FramePrediction
from db.tables import State
from imaging.facts import Facts
from nightread.content_digest import content_of
from nightread.reasons import Reason
from nightread.settings import load_settings
from producer.spool.purged_files import remove_pictures


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, new_sqlite: NewSqlite) -> Iterator[ShownImages]:
    """The API with its defaults; each test adds images of its own."""
    with shown_images(tmp_path_factory.mktemp("pictures"), new_sqlite) as images:
        yield images


def kept(images: ShownImages) -> set[str]:
    """Return the names of the files in the cache."""
    return {path.name for path in (images.state / FOLDER).rglob("*") if path.is_file()}


def test_a_preview_is_the_frame_as_people_see_it(images: ShownImages) -> None:
    """What a person should know is in headers: nothing is written into the pixels."""
    image_id = images.add(phantom(1), name="a.dcm")

    response = images.get(image_id)

    pixels = pixels_of(response)
    assert pixels.shape == (64, 64)
    assert (pixels.min() < 20, pixels.max() > 200) == (True, True)
    headers = response.headers
    assert headers["content-type"] == "image/png"
    assert headers["cache-control"] == "private, max-age=300"
    assert headers["content-disposition"] == f'inline; filename="image-{image_id}.png"'
    assert headers["nightread-frame"] == "1/1"
    assert headers["nightread-notice"] == "not for diagnosis"
    low, high = map(float, headers["nightread-range"].split(","))
    assert low < high


def test_window_and_viewport_are_those_of_ps318(images: ShownImages) -> None:
    """A narrow window shows two kinds of pixels; a viewport bounds the size and keeps the aspect ratio."""
    image_id = images.add(phantom(2), name="b.dcm")
    whole = pixels_of(images.get(image_id))

    assert set(np.unique(pixels_of(images.get(image_id, window="2000,1,linear")))) == {0, 255}
    assert pixels_of(images.get(image_id, viewport="200,100")).shape == (100, 100)
    quarter = pixels_of(images.get(image_id, viewport="32,32,32,0,32,32"))
    assert np.array_equal(quarter, whole[:32, 32:])
    flipped = pixels_of(images.get(image_id, viewport="64,64,,,-64,64"))
    assert np.array_equal(flipped, whole[:, ::-1])


def test_jpeg_is_sent_to_those_who_accept_it(images: ShownImages) -> None:
    """Quality matters; a browser that accepts all gets PNG."""
    image_id = images.add(as_rgb(3, tint=60), name="c.dcm")
    sizes = []
    for quality in (10, 95):
        response = images.client.get(
            f"/v1/images/{image_id}/preview.png", params={"quality": quality}, headers={"Accept": "image/jpeg"}
        )
        assert response.headers["content-type"] == "image/jpeg"
        assert pixels_of(response).shape == (64, 64, 3)
        sizes.append(len(response.content))
    assert sizes[0] < sizes[1]
    refused = images.client.get(f"/v1/images/{image_id}/preview.png", headers={"Accept": "text/html"})
    assert refused.status_code == 406


def test_frames_count_from_one(images: ShownImages) -> None:
    """As in DICOM; the first is shown, of a thumbnail the middle one."""
    image_id = images.add(flickering(4, [False, True, False]), name="d.dcm")
    assert pixels_of(images.get(image_id)).max() == 0
    assert pixels_of(images.get(image_id, frame=2))[0, 0].tolist() == [0, 0, 200]
    middle = images.get(image_id, "thumbnail.png")
    assert middle.headers["nightread-frame"] == "2/3"
    assert pixels_of(middle).max() == 200
    beyond = images.get(image_id, frame=4)
    assert (beyond.status_code, beyond.json()["detail"]) == (
        422,
        "There is no frame 4: the image has 3 frames, counted from 1.",
    )


def test_a_thumbnail_shows_the_frame_with_the_finding(images: ShownImages) -> None:
    """The frame with the highest score of the label, which is what a person looks for."""
    scores = [("clear", 0.99), ("nodule", 0.7), ("nodule", 0.9)]
    frames = tuple(
        FramePrediction(frame=index, label=label, score=score, scores=[score, 1 - score])
        for index, (label, score) in enumerate(scores)
    )
    data = flickering(16, [False, True, True])
    finding = images.add(data, name="q.dcm", bundle_id=images.phantom_bundle(), label="nodule", frames=frames)
    assert images.get(finding, "thumbnail.png").headers["nightread-frame"] == "3/3"


def test_a_late_frame_does_not_cost_those_before_it(images: ShownImages) -> None:
    """A slider over hundreds of frames stays quick: all of them would take seconds."""
    image_id = images.add(cine(5, 300), name="e.dcm")
    response = images.get(image_id, frame=300)
    assert response.headers["nightread-frame"] == "300/300"


WRONG: list[dict[str, Any]] = [
    {"window": "40"}, {"window": "40,0"}, {"window": "lungs"}, {"window": "nan,1"}, {"viewport": "0,1"},
    {"viewport": "9999,1"}, {"viewport": "64,64,1000,0"}, {"quality": 0}, {"quality": 101}, {"frame": 0},
    {"frame": -1}, {"frame": "x"}, {"frame": 10**30}, {"window": "lung"},
]  # fmt: skip


@pytest.mark.parametrize("query", WRONG)
def test_wrong_parameters_are_named(images: ShownImages, query: dict[str, Any]) -> None:
    """A problem object, which does not repeat what was sent; the window `lung` is for CT."""
    image_id = images.add(phantom(6), name="f.dcm")
    response = images.get(image_id, **query)
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    assert "input" not in response.text


@pytest.mark.parametrize("image_id", ["0", "-1", "x", "1e3", str(2**70), "%00", ".."])
def test_an_id_is_a_number(images: ShownImages, image_id: str) -> None:
    """Nothing else reaches the database or a path."""
    assert images.client.get(f"/v1/images/{image_id}/preview.png").status_code in (404, 422)


def test_a_named_window_is_for_ct(images: ShownImages) -> None:
    """Its values are Hounsfield units."""
    image_id = images.add(with_values(7, Modality="CT", RescaleIntercept=-1024, RescaleSlope=1), name="g.dcm")
    assert images.get(image_id, window="lung").headers["nightread-range"] == "-1350,149"


WITHHELD: dict[str, dict[str, Any]] = {
    "by its header": {"BurnedInAnnotation": "YES"},
    "ultrasound": {"Modality": "US"},
    "secondary capture": {"SOPClassUID": SecondaryCaptureImageStorage, "Manufacturer": "Camera"},
    "screen": {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
}


@pytest.mark.parametrize("kind", WITHHELD)
@pytest.mark.parametrize("name", ["preview.png", "thumbnail.png", "heatmap.png"])
def test_no_picture_shows_a_name(images: ShownImages, kind: str, name: str) -> None:
    """Neither a preview nor a thumbnail nor a heat map; the sentence names the setting."""
    bundle_id = images.phantom_bundle()
    image_id = images.add(with_values(8, **WITHHELD[kind]), name="h.dcm", bundle_id=bundle_id, label="nodule")
    response = images.get(image_id, name)
    assert (response.status_code, "show_burned_in" in response.json()["detail"]) == (403, True)


def test_a_row_of_an_ultrasound_image_is_enough(images: ShownImages) -> None:
    """Its file is not read: here it is not even there."""
    image_id = images.add(phantom(9), name="i.dcm", facts=Facts(modality="US"))
    (images.folder / "i.dcm").unlink()
    assert images.get(image_id).status_code == 403


def test_a_site_may_allow_them(tmp_path: Path, new_sqlite: NewSqlite) -> None:
    """By the setting show_burned_in, which also counts for what is kept."""
    with shown_images(tmp_path, new_sqlite, show_burned_in=True, not_for_diagnosis=False) as images:
        image_id = images.add(with_values(8, BurnedInAnnotation="YES"))
        response = images.get(image_id, "thumbnail.png")
        assert pixels_of(response).shape == (256, 256)
        assert "nightread-notice" not in response.headers
        etag = response.headers["etag"]
    (tmp_path / "state" / "nightread.sqlite3").unlink()
    with shown_images(tmp_path, new_sqlite) as images:
        assert images.add(with_values(8, BurnedInAnnotation="YES")) == image_id
        url = f"/v1/images/{image_id}/thumbnail.png"
        assert images.client.get(url, headers={"If-None-Match": etag}).status_code == 403


def test_a_thumbnail_is_kept_until_its_image_is_purged(images: ShownImages) -> None:
    """It outlives its file, because the digest of the bytes is part of its key."""
    image_id = images.add(phantom(10), name="j.dcm")
    first = images.get(image_id, "thumbnail.png", size=100)
    assert pixels_of(first).shape == (100, 100)
    (images.folder / "j.dcm").unlink()
    assert images.get(image_id, "thumbnail.png", size=100).content == first.content
    assert images.get(image_id, "thumbnail.png").status_code == 410
    assert any(name.startswith(f"{image_id}-") for name in kept(images))

    ledger.purge(images.database, image_ids=[image_id], cause="patient", actor="test", now=images.clock())
    assert remove_pictures(images.database, load_settings(state_dir=images.state)) == 1

    purged = images.get(image_id, "thumbnail.png", size=100)
    assert (purged.status_code, purged.json()["detail"]) == (410, f"Image {image_id} was purged.")
    assert not any(name.startswith(f"{image_id}-") for name in kept(images))


def test_a_client_that_has_the_picture_gets_no_copy(images: ShownImages) -> None:
    """ETag and If-None-Match; another view has another tag."""
    image_id = images.add(phantom(11), name="k.dcm")
    url, etag = f"/v1/images/{image_id}/preview.png", images.get(image_id).headers["etag"]
    again = images.client.get(url, headers={"If-None-Match": f'"x", {etag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert again.headers["cache-control"] == "private, max-age=300"
    other = images.client.get(url, params={"window": "full"}, headers={"If-None-Match": etag})
    assert (other.status_code, other.headers["etag"] != etag) == (200, True)


def test_a_picture_is_of_the_bytes_that_were_analysed(images: ShownImages) -> None:
    """Another patient's file at the same place is never shown under this id, nor is a file that is gone."""
    image_id = images.add(phantom(12), name="l.dcm")
    (images.folder / "l.dcm").write_bytes(phantom(13))
    changed = images.get(image_id)
    assert (changed.status_code, "was changed after its analysis" in changed.json()["detail"]) == (409, True)
    (images.folder / "l.dcm").unlink()
    gone = images.get(image_id)
    assert (gone.status_code, "is no longer in its folder" in gone.json()["detail"]) == (410, True)
    assert gone.json()["image_id"] == image_id
    assert "l.dcm" not in gone.text
    spooled = images.register("m.dcm", kind="receiver", content="a" * 64)
    assert "spool_keep_days" in images.get(spooled).json()["detail"]


def test_what_was_never_read_has_no_picture(images: ShownImages) -> None:
    """Waiting images, and archives, whose members have pictures of their own."""
    archive = images.add(b"PK", name="n.zip", state=State.EXPANDED)
    assert (images.get(archive).status_code, "is an archive" in images.get(archive).text) == (409, True)
    unread = images.get(images.register_unread())
    assert (unread.status_code, "its state is received" in unread.json()["detail"]) == (409, True)
    assert images.get(10**6).status_code == 404


def test_a_rejected_image_is_shown_if_it_can_be_read(images: ShownImages) -> None:
    """A person wants to see why no model takes it. A report has no picture."""
    rejected = images.add(phantom(14), name="o.dcm", state=State.REJECTED, reason=Reason.NO_MODEL)
    assert pixels_of(images.get(rejected)).shape == (64, 64)
    report = images.get(images.add(structured_report(), name="p.dcm", state=State.REJECTED, reason=Reason.NON_IMAGE))
    assert (report.status_code, report.json()["reason"]) == (422, "non_image")


def test_a_store_that_does_not_answer_is_no_fault_of_the_image(images: ShownImages) -> None:
    """503, after the time-out of the store; nothing listens at this port."""
    image_id = images.register("instances/x/file", kind="orthanc", root="http://127.0.0.1:9", content="a" * 64)
    response = images.get(image_id)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "10"
    assert "The original of image" in response.json()["detail"]


def test_an_original_in_a_store_is_retrieved(images: ShownImages) -> None:
    """Its bytes must be those that were analysed."""
    data = phantom(15)
    with running_web_server(lambda _: Reply(body=[data], headers={"Content-Type": "application/dicom"})) as store:
        for name, digest, status in (("a", content_of(data), 200), ("b", "a" * 64, 409)):
            image_id = images.register(f"instances/{name}/file", kind="orthanc", root=store.url, content=digest)
            assert images.get(image_id).status_code == status
        assert {asked.path for asked in store.asked} == {"/instances/a/file", "/instances/b/file"}


def test_the_api_loads_no_library_of_images() -> None:
    """It starts in a second, and needs none of them on its host unless pictures are requested."""
    code = "import sys, api.app; print(*{'cv2', 'pydicom', 'keras', 'tensorflow', 'urllib3'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert loaded.stdout.strip() == ""


def test_pictures_are_described(images: ShownImages) -> None:
    """OpenAPI lists the three routes with their parameters."""
    paths = images.client.get("/openapi.json").json()["paths"]
    for name in ("preview", "thumbnail", "heatmap"):
        described = paths[f"/v1/images/{{image_id}}/{name}.png"]["get"]
        assert "image/png" in described["responses"]["200"]["content"]
        assert "image_id" in {parameter["name"] for parameter in described["parameters"]}


def test_the_processes_end_with_the_api(tmp_path: Path, new_sqlite: NewSqlite) -> None:
    """No child of the API is left behind."""
    with shown_images(tmp_path, new_sqlite) as images:
        pixels_of(images.get(images.add(phantom(1))))
        assert isinstance(images.client, TestClient)
        pictures = images.client.app.state.pictures  # type: ignore[attr-defined]
        processes = [process for process in pictures.processes if process.is_running]
        assert len(processes) == 1
    assert not any(process.is_running for process in processes)
