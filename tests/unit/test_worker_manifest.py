"""Read the manifests of senders: CSV and JSON."""

import json

import pytest

from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.sidecars.manifest import read_manifest

COUNTS = {"1.2.3": 500, "1.2.4": 0}
ENTRIES = [{"study_instance_uid": study, "images": images} for study, images in COUNTS.items()]


@pytest.mark.parametrize(
    "text",
    [
        "study_instance_uid,images\n1.2.3,500\n1.2.4,0\n",
        "\ufeffimages;comment;study_instance_uid\r\n500;late;1.2.3\r\n0;;1.2.4\r\n",
        '"study_instance_uid", "images"\n"1.2.3", "500"\n1.2.4, 0',
        json.dumps(ENTRIES),
        json.dumps({"sender": "CT 4", "studies": ENTRIES}, indent=2),
    ],
)
def test_a_manifest_has_the_number_of_images_of_each_study(text: str) -> None:
    """Other columns and names are ignored."""
    assert read_manifest(text.encode()) == COUNTS


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"study,images\n1.2,3", b"[1, 2]", b'{"a": 1}', b"\x89PNG", b"study_instance_uid"]
)
def test_other_files_are_not_manifests(data: bytes) -> None:
    """The content decides, not the name."""
    assert read_manifest(data) is None


@pytest.mark.parametrize(
    "text",
    [
        "study_instance_uid,images\n1.2.3,many\n",
        "study_instance_uid,images\n1.2.3\n",
        "study_instance_uid,images;\n1.2.3,5\n",
        "note\x0c,study_instance_uid,images\n1,1.2.3,5\n",
        "study_instance_uid,images\n1.2.3,-1\n",
        "study_instance_uid,images\nDOE^JOHN,5\n",
        "study_instance_uid,images\n1.2.3,5\n1.2.3,6\n",
        "study_instance_uid,images\n1.2.3," + "9" * 5000,
        '[{"study_instance_uid": "1.2.3", "images": 5.5}]',
        '[{"study_instance_uid": "1.2.3", "images": true}]',
        '[{"study_instance_uid": 5, "images": 5}]',
        '[{"study_instance_uid": "1.2.3", "images": 5}',
        '{"study_instance_uid": "1.2.3", "images": 5}',
        '["study_instance_uid", "images"]',
        '{"study_instance_uid": "images", "images": ' + "[" * 100_000,
    ],
)
def test_an_invalid_manifest_is_a_bad_manifest(text: str) -> None:
    """It is rejected and not ignored, because a sender meant it; the reason quotes nothing from it."""
    with pytest.raises(RejectImage) as caught:
        read_manifest(text.encode())
    assert caught.value.reason is Reason.BAD_MANIFEST
    assert "DOE" not in caught.value.detail
