"""The content items that all reports share: observer (TID 1004), algorithm (TID 4019) and tracking identifiers."""

from dataclasses import replace

from pydicom.dataset import Dataset

from db.queries import ReportableResult, ReportedBundle, ReportedSeries
from delivery.template_items import algorithm, observers, tracking
from nightread import __version__

BUNDLE = ReportedBundle(name="phantom", version="1.0", digest="d" * 64, normal_label="normal")
IMAGE = ReportableResult(
    image_id=1,
    sop_instance_uid="1.5.1",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    series_instance_uid="1.4",
    modality="CT",
    label="nodule",
    score=0.5,
    frames=(),
    bundle=BUNDLE,
)
STACK = ReportedSeries(series_id=7, stack=2, slices=5, of_slices=5, partial=False, images=())


def said(items: list[Dataset]) -> dict[str, str]:
    """Return what the items say: the code value of each name, and the value, of which codes keep the code value."""
    found = {}
    for item in items:
        value = item.get("UID") or item.get("TextValue") or item.ConceptCodeSequence[0].CodeValue
        found[str(item.ConceptNameCodeSequence[0].CodeValue)] = str(value)
    return found


def test_the_observer_has_every_attribute_of_a_device() -> None:
    """TID 1004: UID, name, manufacturer, model name and serial number of the device; TID 1002: it is a device."""
    assert said(list(observers([IMAGE, replace(IMAGE, image_id=2)]))) == {
        "121005": "121007",
        "121012": "2.25.52457458169268490376049208182135580697",
        "121013": "phantom@1.0",
        "121014": "nightread",
        "121015": f"nightread {__version__}",
        "121016": "d" * 64,
    }


def test_the_algorithm_has_name_version_parameters_and_family() -> None:
    """TID 4019: the family is artificial intelligence (CID 7162)."""
    assert said(list(algorithm(BUNDLE))) == {
        "111000": "123110",
        "111001": "phantom",
        "111002": f"bundle sha256:{'d' * 64}",
        "111003": "1.0",
    }


def tracking_uid(result: ReportableResult, *names: str) -> str:
    """Return the unique identifier, which follows the readable one."""
    identifier, unique = tracking(result, "image 1", *names)
    assert identifier.TextValue == "image 1"
    return str(unique.UID)


def test_a_finding_of_an_image_is_tracked_by_the_image() -> None:
    """The UIDs are those of UUID version 5 of `tracking`, the image and the digest of the bundle; none may change."""
    assert tracking_uid(IMAGE) == "2.25.188570241283765496944941077291669702066"
    assert tracking_uid(replace(IMAGE, sop_instance_uid="1.5.2")) != tracking_uid(IMAGE)
    assert tracking_uid(replace(IMAGE, series_instance_uid="1.6")) == tracking_uid(IMAGE)


def test_a_finding_of_a_stack_is_tracked_by_the_stack() -> None:
    """Another slice may be its strongest evidence in the next revision; the UID stays the same."""
    found = replace(IMAGE, series=STACK)
    assert tracking_uid(found) == "2.25.299356597791982421943215746175433577475"
    assert tracking_uid(replace(found, sop_instance_uid="1.5.2")) == tracking_uid(found)
    assert tracking_uid(replace(found, series=replace(STACK, stack=3))) != tracking_uid(found)


def test_a_region_is_tracked_by_its_image_even_in_a_stack() -> None:
    """It lies in one slice: its UID has the image and the number of the region."""
    assert tracking_uid(IMAGE, "1") == "2.25.273043489576346245194807853876742343387"
    assert tracking_uid(replace(IMAGE, series=STACK), "1") == tracking_uid(IMAGE, "1")
    assert tracking_uid(IMAGE, "2") != tracking_uid(IMAGE, "1")
