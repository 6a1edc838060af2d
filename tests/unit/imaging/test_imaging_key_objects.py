"""Key object notes that reject images, and other notes."""

import pytest
from dicom_media import rejection_note

from imaging.header import read_header
from imaging.key_objects import REJECTING_TITLES, Rejection, read_rejection
from imaging.limits import DEFAULT_LIMITS
from nightread.errors import RejectImage
from nightread.reasons import Reason

STUDY = "1.2.3"


def rejection(data: bytes) -> Rejection | None:
    """Return the rejection of the note."""
    return read_rejection(read_header(data, DEFAULT_LIMITS).elements)


@pytest.mark.parametrize("code", sorted(REJECTING_TITLES))
def test_a_note_with_a_rejecting_title_names_its_images(code: str) -> None:
    """Each image is named once, in the order of the note."""
    found = rejection(rejection_note(STUDY, ["1.5", "1.4", "1.5"], code=code))
    assert found == Rejection(study_instance_uid=STUDY, code=code, sop_instance_uids=("1.5", "1.4"))


@pytest.mark.parametrize(("code", "scheme"), [("113000", "DCM"), ("113039", "DCM"), ("113001", "99LOCAL")])
def test_other_notes_reject_nothing(code: str, scheme: str) -> None:
    """Their titles are `of interest`, `for teaching`, or private codes."""
    assert rejection(rejection_note(STUDY, ["1.4"], code=code, scheme=scheme)) is None


@pytest.mark.parametrize(("rejected", "evidence"), [([], None), (["1.4"], "9.9")], ids=["no image", "another study"])
def test_a_note_that_rejects_nothing_of_its_study_is_bad(rejected: list[str], evidence: str | None) -> None:
    """A rejecting note must name images, and they must be of its own study."""
    with pytest.raises(RejectImage) as caught:
        rejection(rejection_note(STUDY, rejected, evidence=evidence))
    assert caught.value.reason is Reason.BAD_KEY_OBJECT
