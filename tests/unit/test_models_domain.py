"""The domain of a bundle: which images are inside, and what is said about the others."""

from typing import Any

import pytest

from imaging.kind import COLOUR, GREY, ImageKind
from models.domain import Domain, refusal
from models.input_range import InputRange
from nightread.reasons import Reason

DX, CR, MR, CAPTURE = (
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.7",
)
DX_NAME = "Digital X-Ray Image Storage - For Presentation (1.2.840.10008.5.1.4.1.1.1.1)"
CR_NAME = "Computed Radiography Image Storage (1.2.840.10008.5.1.4.1.1.1)"
CHEST = Domain(
    sop_classes=(DX, CR),
    modalities=("DX", "CR"),
    body_parts=("CHEST",),
    views=("PA",),
    samples=(GREY,),
    rows=(512, 4096),
    columns=(512, 4096),
)
FILM = ImageKind(
    sop_class=DX,
    modality="DX",
    image_type="DERIVED\\PRIMARY",
    body_part="CHEST",
    view="PA",
    photometric="MONOCHROME2",
    rows=2048,
    columns=2048,
)


def reason(domain: Domain | None, **changes: Any) -> Reason | None:
    """Return the reason why a film with these changes is refused."""
    problem = refusal(domain, FILM._replace(**changes))
    return problem.reason if problem else None


def test_an_image_of_the_stated_kind_is_inside() -> None:
    """Both ends of a range are inside, and case does not matter."""
    assert reason(CHEST) is None
    assert reason(CHEST, rows=512, columns=4096, body_part="Chest") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"sop_class": MR},
            f"SOPClassUID is not {DX_NAME} or {CR_NAME}",
        ),
        ({"modality": "MR"}, "Modality is not DX or CR"),
        ({"body_part": "MARKER"}, "BodyPartExamined is not CHEST"),
        ({"view": "LL"}, "ViewPosition is not PA"),
        ({"samples": COLOUR}, "it is in colour"),
        ({"rows": 511}, "Rows is not between 512 and 4096"),
        ({"columns": 4097}, "Columns is not between 512 and 4096"),
        ({"modality": "MR", "rows": 64}, "Modality is not DX or CR; Rows is not between 512 and 4096"),
        ({"sop_class": None, "modality": None}, "it has neither SOPClassUID nor Modality"),
    ],
)
def test_a_refusal_says_what_does_not_fit(changes: dict[str, Any], said: str) -> None:
    """It names the attribute and the allowed values, and never a value of the image, which may identify a patient."""
    problem = refusal(CHEST, FILM._replace(**changes))

    assert problem is not None
    assert (problem.reason, problem.detail) == (
        Reason.OUT_OF_DOMAIN,
        f"The model was not made for this image: {said}.",
    )


def test_a_refusal_fits_its_column() -> None:
    """The detail names four of many allowed values, and never has more than 500 characters."""
    domain = Domain(sop_classes=tuple(f"{DX}.99.{number}" for number in range(90)), modalities=("A" * 90,) * 9)

    problem = refusal(domain, FILM)

    assert problem is not None
    assert (
        f"SOPClassUID is not {DX}.99.0 or {DX}.99.1 or {DX}.99.2 or {DX}.99.3 or one of 86 more; Modality"
        in problem.detail
    )
    assert len(problem.detail) == 500


@pytest.mark.parametrize("absent", ["sop_class", "modality", "body_part", "view", "image_type", "photometric"])
def test_an_absent_attribute_refuses_nothing(absent: str) -> None:
    """Many devices leave BodyPartExamined empty; only an image that does not say at all what it is, is refused."""
    assert reason(CHEST, **{absent: None}) is None


def test_an_empty_field_allows_every_value() -> None:
    """A domain without fields takes every image that is not excluded."""
    assert reason(Domain(), sop_class=MR, modality="MR", samples=COLOUR, rows=1) is None
    assert reason(Domain(samples=(GREY, COLOUR)), samples=COLOUR) is None
    assert reason(Domain(photometric=("MONOCHROME1",))) is Reason.OUT_OF_DOMAIN


@pytest.mark.parametrize(
    ("changes", "expected", "accepted"),
    [
        ({"image_type": "ORIGINAL\\PRIMARY\\LOCALIZER"}, Reason.LOCALIZER, "localizer"),
        ({"image_type": "ORIGINAL\\PRIMARY\\SCOUT"}, Reason.LOCALIZER, "localizer"),
        ({"quality_control": True}, Reason.QUALITY_CONTROL, "quality_control"),
        ({"sop_class": CAPTURE}, Reason.SECONDARY_CAPTURE, "secondary_capture"),
        ({"image_type": "DERIVED\\SECONDARY\\SCREEN SAVE"}, Reason.SECONDARY_CAPTURE, "secondary_capture"),
    ],
)
def test_some_kinds_are_out_of_scope_unless_the_bundle_asks_for_them(
    changes: dict[str, Any], expected: Reason, accepted: str
) -> None:
    """Everything else fits, so the reason is the special one."""
    domain = Domain(sop_classes=(DX, CR), modalities=("DX",))
    asking = Domain(sop_classes=(DX, CR, CAPTURE), modalities=("DX",), accepts=(accepted,))

    assert reason(domain, **changes) is expected
    assert reason(asking, **changes) is None


def test_a_secondary_capture_is_asked_for_by_its_class() -> None:
    """A bundle that was trained on secondary captures lists their SOP class; a picture of a screen stays outside."""
    domain = Domain(sop_classes=(CAPTURE,))

    assert reason(domain, sop_class=CAPTURE) is None
    assert reason(domain, sop_class=CAPTURE, image_type="DERIVED\\SECONDARY\\DOSE_INFO") is Reason.SECONDARY_CAPTURE


def test_a_capture_of_another_modality_does_not_fit_at_all() -> None:
    """The operator reads what does not fit, and not only that it is a secondary capture."""
    assert reason(CHEST, sop_class=CAPTURE, modality="XC", samples=COLOUR) is Reason.OUT_OF_DOMAIN


def test_a_bundle_without_a_domain_takes_what_it_always_took() -> None:
    """Localizers, test objects and pictures of screens have no finding for any network that does not ask for them."""
    assert reason(None, sop_class=MR, modality="MR", samples=COLOUR) is None
    assert reason(None, sop_class=CAPTURE) is None
    assert reason(None, quality_control=True) is Reason.QUALITY_CONTROL
    assert reason(None, image_type="ORIGINAL\\PRIMARY\\LOCALIZER") is Reason.LOCALIZER
    assert reason(None, image_type="DERIVED\\SECONDARY\\SCREEN SAVE") is Reason.SECONDARY_CAPTURE


def test_a_file_without_a_header_is_compared_by_size_and_colour() -> None:
    """PNG and JPEG files have no other attribute; a bundle can also say that it takes DICOM only."""
    picture = ImageKind(is_dicom=False, rows=600, columns=600)

    assert refusal(CHEST, picture) is None
    assert refusal(CHEST, picture._replace(samples=COLOUR)) is not None
    assert refusal(CHEST, picture._replace(rows=64)) is not None
    assert refusal(Domain(dicom_only=True), picture) is not None
    assert reason(Domain(dicom_only=True)) is None


def test_a_domain_reads_back_as_it_was_written() -> None:
    """Fields that allow every value are left out."""
    full = Domain(
        sop_classes=(DX,),
        modalities=("DX",),
        photometric=("MONOCHROME2",),
        samples=(GREY,),
        rows=(1, 2),
        accepts=("localizer",),
        dicom_only=True,
        intensities=InputRange(low=(0.0,) * 5, high=(1.0,) * 5, images=30),
    )

    assert Domain.from_json(full.to_json()) == full
    assert Domain().to_json() == {}
    assert Domain.from_json({}) == Domain()


@pytest.mark.parametrize(
    "values",
    [
        {"modality": ["DX"]},
        {"modalities": "DX"},
        {"modalities": [1]},
        {"samples": [4]},
        {"samples": ["1"]},
        {"samples": [True]},
        {"rows": [5]},
        {"rows": [5, 4]},
        {"rows": [0, 4]},
        {"accepts": ["everything"]},
        {"dicom_only": "yes"},
        {"intensities": {"percentiles": [5], "low": [0.5], "high": [0.4], "images": 1}},
        {"intensities": {"percentiles": [5], "low": [], "high": [0.4], "images": 1}},
        {"intensities": {"percentiles": [101], "low": [0.1], "high": [0.4], "images": 1}},
        {"intensities": {"percentiles": [5], "low": [0.1], "high": [0.4], "images": 1, "more": 1}},
    ],
    ids=str,
)
def test_a_domain_with_wrong_fields_is_refused(values: dict[str, Any]) -> None:
    """A misspelt field would otherwise allow every image in silence."""
    with pytest.raises((TypeError, ValueError)):
        Domain.from_json(values)


def test_people_read_a_domain_in_one_line() -> None:
    """SOP classes have their names."""
    assert str(CHEST) == (
        f"sop classes {DX_NAME}, {CR_NAME}; modalities DX, CR; body parts CHEST; views PA; grey; rows 512 to 4096; "
        "columns 512 to 4096"
    )
    assert str(Domain()) == "every image"
