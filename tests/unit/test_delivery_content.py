"""The digest of a report's content, as the SHA-256 of a text that is written out here."""

from dataclasses import replace
from hashlib import sha256

from db.queries import ReportableResult, ReportedBundle, StudyResults
from delivery.content import content_digest
from delivery.reasons import DeliveryReason, NotDelivered, unreadable_certificates

RESULT = ReportableResult(
    image_id=7,
    sop_instance_uid="1.4",
    sop_class_uid="1.5",
    series_instance_uid="1.3",
    modality="CT",
    label="nodule",
    score=0.5,
    frames=(2,),
    bundle=ReportedBundle(name="phantom", version="1.0", digest="ab", normal_label="normal"),
)
STUDY = StudyResults(
    study_instance_uid="1.2", results=(RESULT,), images=1, without_result=3, nameless=4, patients=1
)  # fmt: skip
WRITTEN = (
    '{"layout": 1, "nameless": 4, "not_for_diagnosis": true, "results": ["{\\"bundle\\": {\\"digest\\": \\"ab\\", '
    '\\"name\\": \\"phantom\\", \\"normal_label\\": \\"normal\\", \\"version\\": \\"1.0\\"}, \\"frames\\": [2], '
    '\\"label\\": \\"nodule\\", \\"modality\\": \\"CT\\", \\"score\\": 0.5, \\"series_instance_uid\\": \\"1.3\\", '
    '\\"sop_class_uid\\": \\"1.5\\", \\"sop_instance_uid\\": \\"1.4\\"}"], "study": "1.2", "without_result": 3}'
)


def test_the_digest_is_that_of_the_written_content() -> None:
    """If this changes, every report of a site is sent again: increase the layout only for this purpose."""
    assert content_digest(STUDY, not_for_diagnosis=True) == sha256(WRITTEN.encode()).hexdigest()


def test_every_field_of_the_study_counts_except_images_and_patients() -> None:
    """The number of images follows from the results; a study of two patients has no report."""
    same = replace(STUDY, images=9, patients=2)
    assert content_digest(same, not_for_diagnosis=True) == content_digest(STUDY, not_for_diagnosis=True)
    others = [replace(STUDY, nameless=5), replace(STUDY, without_result=4), replace(STUDY, study_instance_uid="1.9")]
    assert len({content_digest(study, not_for_diagnosis=True) for study in (STUDY, *others)}) == 4


def test_each_reason_is_temporary_or_final() -> None:
    """The database stores these words; a final reason ends the attempts."""
    assert {reason.value: reason.final for reason in DeliveryReason} == {
        "sending": False,
        "no_answer": False,
        "unreachable": False,
        "refused": False,
        "busy": False,
        "source_away": False,
        "not_supported": True,
        "certificates": False,
        "not_understood": True,
        "source_gone": True,
        "mixed_patients": True,
        "nothing_left": True,
        "overtaken": True,
        "internal_error": True,
    }


def test_a_stored_word_gives_its_reason() -> None:
    """The word is also the text of the member."""
    assert DeliveryReason("busy") is DeliveryReason.BUSY
    assert str(DeliveryReason.BUSY) == "busy"


def test_a_failed_delivery_has_its_own_detail_or_the_message_of_its_reason() -> None:
    """Its text is what a log line shows."""
    plain, own = NotDelivered(DeliveryReason.NOT_UNDERSTOOD), NotDelivered(DeliveryReason.BUSY, "The disk is full.")
    assert (plain.reason, plain.detail) == (DeliveryReason.NOT_UNDERSTOOD, "The destination rejected the report.")
    assert str(plain) == "not_understood: The destination rejected the report."
    assert (own.reason, own.detail, str(own)) == (DeliveryReason.BUSY, "The disk is full.", "busy: The disk is full.")


def test_unreadable_certificates_have_a_reason_that_names_destination_and_error() -> None:
    """A person can correct the files: the report waits."""
    error = unreadable_certificates("pacs", "SSLError")
    message = "The certificate files of the destination pacs cannot be read (SSLError): correct its `tls`."
    assert (error.reason, error.detail) == (DeliveryReason.CERTIFICATES, message)


def test_a_conflict_changes_the_content() -> None:
    """The comment then says something else; without a conflict the digest is that of earlier releases."""
    digests = [content_digest(replace(STUDY, in_conflict=images), not_for_diagnosis=True) for images in (0, 1, 2)]
    assert digests[0] == content_digest(STUDY, not_for_diagnosis=True)
    assert len(set(digests)) == 3
