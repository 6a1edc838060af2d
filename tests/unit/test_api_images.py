"""POST /v1/images stores a file durably, waits for its outcome, and answers as HTTP clients expect."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from api_client import ApiDriver, api_driver
from databases import NewSqlite

from db.tables import State
from nightread.content_digest import content_of
from nightread.reasons import Reason

BODY = b"\0" * 128 + b"DICM" + b"pixels"
HASH = content_of(BODY)


@pytest.fixture
def api(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[ApiDriver]:
    """The application with a limit of 3 MiB per file."""
    with api_driver(new_sqlite, tmp_path, max_file_bytes=3 * 1024**2) as driver:
        yield driver


def test_an_image_that_is_not_analysed_in_time_is_accepted(api: ApiDriver) -> None:
    """202 with the place of the result; the file is complete in the spool, the image ordinary in the database."""
    response = api.post(BODY, wait=0)

    assert response.status_code == 202
    assert response.headers["location"] == "/v1/images/1"
    assert response.headers["retry-after"] == "1"
    assert (response.json()["state"], response.json()["source"]) == ("received", "api")
    (file,) = api.spooled
    assert file.read_bytes() == BODY
    (work,) = api.ledger_driver.work()
    assert (work.state, work.priority) == ("received", 5)


def test_the_answer_comes_as_soon_as_the_outcome_is_recorded(api: ApiDriver) -> None:
    """No message of a worker is needed: the ledger is the truth."""
    api.analyse_next(label="nodule", score=0.9)

    response = api.post(BODY, wait=None, Prefer="wait=20")

    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=20"
    assert response.headers["vary"] == "Prefer"
    assert (response.json()["label"], response.json()["score"]) == ("nodule", 0.9)
    assert response.json()["links"] == {
        "self": "/v1/images/1",
        "preview": "/v1/images/1/preview.png",
        "heatmap": "/v1/images/1/heatmap.png",
    }


def test_only_an_image_for_which_somebody_waits_is_urgent(api: ApiDriver) -> None:
    """A client that sends a night and waits for nothing does not overtake the others."""
    api.analyse_next()
    api.post(BODY, wait=20)
    api.post(BODY + b"2", wait=0)
    api.post(BODY + b"3", wait=None, Prefer="respond-async")

    assert [work.priority for work in api.ledger_driver.work()] == [0, 5, 5]


def test_a_client_may_ask_not_to_wait(api: ApiDriver) -> None:
    """RFC 7240, section 4.1."""
    response = api.post(BODY, wait=None, Prefer="respond-async")

    assert (response.status_code, response.headers["preference-applied"]) == (202, "respond-async")


def test_a_rejected_image_is_a_problem_with_its_reason(api: ApiDriver) -> None:
    """The client sees reason and detail, and the id under which the rejection is recorded."""
    api.analyse_next(state=State.REJECTED, reason=Reason.NOT_DICOM, detail="The file has no DICOM header.")

    response = api.post(b"no image at all", wait=20)

    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["reason"], problem["detail"]) == ("not_dicom", "The file has no DICOM header.")
    assert (problem["image_id"], problem["links"]) == (1, {"self": "/v1/images/1"})


def test_an_image_that_failed_is_a_server_error(api: ApiDriver) -> None:
    """Sending it again is right: bytes that failed are analysed again."""
    api.analyse_next(state=State.FAILED, reason=Reason.TIMEOUT)

    response = api.post(BODY, wait=20)

    assert (response.status_code, response.json()["reason"]) == (500, "timeout")


def test_the_same_bytes_again_are_answered_at_once_with_their_result(api: ApiDriver) -> None:
    """Nobody waits for a worker: none runs here."""
    api.post(BODY)
    api.analyse(label="nodule", content=HASH)

    response = api.post(BODY, wait=0)

    assert response.status_code == 200
    assert response.json()["image_id"] == 2
    assert response.json()["duplicate_of"] == 1
    assert response.json()["original"]["label"] == "nodule"
    assert response.json()["links"]["original"] == "/v1/images/1"


def test_the_object_of_one_image_has_the_sha256_of_its_file(api: ApiDriver) -> None:
    """The database has the BLAKE3-256, and the file is in the spool; a list does not read its files."""
    digest = sha256(BODY).hexdigest()
    api.analyse_next(content=HASH)
    response = api.post(BODY, wait=20)
    assert (response.json()["content"], response.json()["sha256"]) == (HASH, digest)
    assert api.client.get("/v1/images/1").json()["sha256"] == digest
    (listed,) = api.client.get("/v1/results", params={"content": HASH}).json()["images"]
    assert (listed["image_id"], listed["content"], listed["sha256"]) == (1, HASH, None)


def test_an_archive_lists_its_members(api: ApiDriver) -> None:
    """An archive that is unpacked links to its members; none has an outcome that is missing."""
    api.analyse_next(state=State.EXPANDED, content="e" * 64)

    response = api.post(b"PK\x03\x04", wait=20, kind="application/zip")

    assert response.status_code == 200
    assert (response.json()["state"], response.json()["members"]) == ("expanded", [])
    assert response.json()["links"] == {"self": "/v1/images/1", "members": "/v1/results?parent=1"}


def test_a_form_with_several_files_is_answered_with_a_list(api: ApiDriver) -> None:
    """Fields without a file name are no images."""
    files = [("file", ("a.dcm", BODY)), ("file", ("CANARY.png", b"\x89PNG\r\n\x1a\n"))]

    response = api.client.post("/v1/images?wait=0", files=files, data={"note": "text"})

    assert response.status_code == 202
    assert [image["image_id"] for image in response.json()["images"]] == [1, 2]
    assert "CANARY" not in response.text


@pytest.mark.parametrize("size", [3 * 1024**2 + 1, 5 * 1024**2])
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_large_leaves_nothing(api: ApiDriver, size: int, declared: bool) -> None:
    """413 before the body is read if its length is declared, else as soon as the limit is passed."""
    chunks = bytes(size) if declared else (bytes(65536) for _ in range(size // 65536 + 1))

    response = api.client.post("/v1/images", content=chunks, headers={"Content-Type": "application/dicom"})

    assert response.status_code == 413
    assert response.headers["connection"] == "close"
    assert (api.spooled, api.ledger_driver.work()) == ([], [])


def test_a_file_larger_than_the_buffer_is_stored_whole(api: ApiDriver) -> None:
    """Up to a mebibyte is held in memory; more is written in between."""
    body = BODY + bytes(range(256)) * 9000

    assert api.post(body).status_code == 202

    (file,) = api.spooled
    assert file.read_bytes() == body


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/dicom", 422),
        (BODY, "text/html", 415),
        (b"text", "", 415),
        (BODY, "", 202),
        (BODY, "application/x-www-form-urlencoded", 202),
        (b"--x\r\n", "multipart/form-data; boundary=x", 400),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 422),
        (BODY, "multipart/form-data", 400),
        (BODY, "multipart/form-data; boundary=" + "x" * 201, 400),
        (b"--x\r\nno header\r\n\r\n", "multipart/form-data; boundary=x", 400),
    ],
)
def test_a_body_that_is_no_file_is_refused(api: ApiDriver, body: bytes, kind: str, status: int) -> None:
    """What curl sends without a Content-Type is judged by its bytes."""
    response = api.client.post("/v1/images?wait=0", content=body, headers={"Content-Type": kind} if kind else {})

    assert response.status_code == status
    assert len(api.spooled) == (status == 202)


def test_a_coded_body_is_refused(api: ApiDriver) -> None:
    """A bomb in gzip is not unpacked on arrival."""
    assert api.post(BODY, Content_Encoding="gzip").status_code == 415


def test_an_unknown_image_is_not_found(api: ApiDriver) -> None:
    """So is one whose id no database can have."""
    assert api.client.get("/v1/images/1").status_code == 404
    assert api.client.get(f"/v1/images/{2**63}").status_code == 422


def test_one_image_is_read_with_its_frames_and_its_model(api: ApiDriver) -> None:
    """The object of the answer, with the result of each frame."""
    api.post(BODY)
    api.analyse(bundle_id=1)

    image = api.client.get("/v1/images/1").json()

    assert (image["state"], image["model"], image["model_digest"]) == ("done", "phantom", "d" * 64)
    assert image["predictions"] == [
        {"frame": 0, "label": "normal", "score": 0.25, "scores": {"normal": 0.75, "nodule": 0.25}}
    ]


def test_a_read_can_wait_too(api: ApiDriver) -> None:
    """The client of a 202 needs no loop."""
    api.post(BODY)
    api.analyse_next()

    response = api.client.get("/v1/images/1", headers={"Prefer": "wait=20"})

    assert (response.json()["state"], response.headers["preference-applied"]) == ("done", "wait=20")


def test_a_key_that_only_submits_sees_of_an_original_its_result_only(api: ApiDriver) -> None:
    """The bytes may have come from another source, whose path and UIDs are not for this client."""
    reader, submitter = api.add_key("reads", "submit", "read"), api.add_key("submits", "submit")
    api.post(BODY, **reader)
    api.analyse(label="nodule", score=0.9, content=HASH)

    submits, reads = api.post(BODY, **submitter), api.post(BODY, **reader)

    assert set(submits.json()["original"]) == {"image_id", "state", "label", "score", "scores"}
    assert submits.json()["original"]["label"] == "nodule"
    assert reads.json()["original"]["uri"]


def test_a_form_that_fails_midway_says_what_is_stored(api: ApiDriver) -> None:
    """The client sends only the other files again."""
    files = [("file", ("a.dcm", BODY)), ("file", ("b.dcm", b"")), ("file", ("c.dcm", BODY))]

    response = api.client.post("/v1/images?wait=0", files=files)

    assert response.status_code == 422
    assert response.json()["images"] == [{"image_id": 1, "links": {"self": "/v1/images/1"}}]
    assert "are stored" in response.json()["detail"]
    assert len(api.ledger_driver.work()) == 1
