"""The domain that is written from training images or golden images."""

import pytest

from imaging.kind import COLOUR, GREY, ImageKind
from models.catalogue import find_bundle
from models.domain import Domain, refusal
from models.domain_of_data import domain_of, takes_only_pictures, with_stated
from models.input_range import InputRange
from nightread.reasons import Reason

RANGE = InputRange(low=(0.0,) * 5, high=(1.0,) * 5, images=100)
CT, CAPTURE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"
SLICE = ImageKind(
    sop_class=CT, modality="CT", image_type="ORIGINAL\\PRIMARY\\AXIAL", body_part="HEAD", rows=512, columns=512
)


def test_the_domain_holds_what_the_images_have() -> None:
    """Sizes may be half and twice those of the images, because the network gets resized images."""
    kinds = {SLICE, SLICE._replace(body_part="NECK", rows=256), SLICE._replace(body_part=None)}

    assert domain_of(kinds, 100, RANGE) == Domain(
        sop_classes=(CT,),
        modalities=("CT",),
        body_parts=("HEAD", "NECK"),
        samples=(GREY,),
        rows=(128, 1024),
        columns=(256, 1024),
        intensities=RANGE,
    )


def test_a_few_images_say_only_which_kind_they_are() -> None:
    """Nineteen images do not show over which range sizes, body parts and intensities vary."""
    assert domain_of({SLICE}, 19, RANGE) == Domain(sop_classes=(CT,), modalities=("CT",), samples=(GREY,))


def test_images_without_a_header_come_as_secondary_captures() -> None:
    """An array that someone writes as DICOM becomes one; the size of an array says nothing about the original."""
    kinds = {ImageKind(is_dicom=False, rows=28, columns=28)}

    assert domain_of(kinds, 100, RANGE) == Domain(
        sop_classes=(CAPTURE, *(f"{CAPTURE}.{kind}" for kind in (1, 2, 3, 4))),
        samples=(GREY,),
        accepts=("secondary_capture",),
        intensities=RANGE,
    )


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (ImageKind(is_dicom=False, rows=600, columns=600), None),
        (ImageKind(sop_class=CAPTURE, modality="OT", rows=600, columns=600), None),
        (ImageKind(sop_class=f"{CAPTURE}.2", rows=600, columns=600), None),
        (SLICE, Reason.OUT_OF_DOMAIN),
        (SLICE._replace(sop_class="1.2.840.10008.5.1.4.1.1.4", modality="MR"), Reason.OUT_OF_DOMAIN),
        (ImageKind(rows=600, columns=600), Reason.OUT_OF_DOMAIN),
    ],
    ids=["picture", "capture", "frames of a capture", "CT", "MR", "nameless"],
)
def test_a_model_of_pictures_takes_no_images_of_devices(kind: ImageKind, reason: Reason | None) -> None:
    """Intensities do not tell a CT from a digit. The shipped model was trained on arrays too."""
    shipped = find_bundle("mnist-cnn").domain
    trained = domain_of({ImageKind(is_dicom=False)}, 100, RANGE)

    for domain in (trained, shipped):
        refused = refusal(domain, kind)
        assert (refused.reason if refused else None) is reason
        assert takes_only_pictures(domain)


def test_stated_modalities_replace_the_secondary_captures_of_pictures() -> None:
    """A chest film is often trained as PNG and comes as CR or DX."""
    domain = with_stated(domain_of({ImageKind(is_dicom=False)}, 100, RANGE), {"modalities": ["CR", "CT"]})

    assert (domain.sop_classes, domain.modalities) == ((), ("CR", "CT"))
    assert refusal(domain, SLICE) is None
    assert not takes_only_pictures(domain)
    stated = {"modalities": ["CT"], "sop_classes": [CT]}
    assert with_stated(domain_of({ImageKind(is_dicom=False)}, 100, RANGE), stated).sop_classes == (CT,)


def test_coloured_training_images_allow_grey_ones() -> None:
    """A network of three channels gets grey images as three equal channels."""
    kinds = {ImageKind(is_dicom=False, samples=COLOUR)}

    assert domain_of(kinds, 100, RANGE).samples == (GREY, COLOUR)


@pytest.mark.parametrize(
    ("kind", "accepts"),
    [
        (SLICE._replace(image_type="ORIGINAL\\PRIMARY\\LOCALIZER"), ("localizer",)),
        (SLICE._replace(quality_control=True), ("quality_control",)),
        (SLICE._replace(sop_class=CAPTURE), ()),
        (SLICE._replace(image_type="DERIVED\\SECONDARY\\SCREEN SAVE"), ("secondary_capture",)),
    ],
)
def test_training_images_of_an_excluded_kind_ask_for_it(kind: ImageKind, accepts: tuple[str, ...]) -> None:
    """Secondary captures are asked for by their SOP class. A network takes the images that it was trained on."""
    domain = domain_of({kind}, 100, RANGE)

    assert domain.accepts == accepts
    assert domain.refusal(kind) is None


def test_what_a_person_states_replaces_what_the_images_say() -> None:
    """An empty field allows every value."""
    found = domain_of({SLICE}, 100, RANGE)

    stated = with_stated(found, {"modalities": ["CT", "PT"], "body_parts": [], "rows": [64, 2048], "intensities": []})

    assert (stated.modalities, stated.body_parts, stated.rows, stated.columns, stated.intensities) == (
        ("CT", "PT"),
        (),
        (64, 2048),
        (256, 1024),
        None,
    )
