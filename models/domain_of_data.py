"""Derive the domain of a bundle from the images that it was trained or checked on."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from imaging.kind import COLOUR, GREY, SECONDARY_CAPTURES, ImageKind
from models.domain import SECONDARY_CAPTURE, Domain, excluded
from models.input_range import InputRange

ONLY_PICTURES = (
    "The images have no DICOM header, so the model takes only PNG and JPEG files and secondary captures. For images of "
    "devices, give --domain FIELD=VALUES, such as modalities=CR,DX."
)
"""The warning about a bundle whose domain accepts only pictures and secondary captures (`takes_only_pictures`)."""
ENOUGH_IMAGES = 20
"""The least number of images from which body parts, views, sizes and intensities are derived."""
_SIZE_FACTOR = 2
"""The domain accepts sizes from the smallest training size divided by this to the largest multiplied by this.

Images of other sizes can be analysed, because each image is resized for the network.
"""


def domain_of(kinds: Collection[ImageKind], images: int, intensities: InputRange) -> Domain:
    """Return a domain that accepts images like these.

    `kinds` are the kinds of the images, `images` is their number, and `intensities` is the range of their prepared
    inputs. If all images are arrays or PNG or JPEG files, which have no header, secondary captures are the only DICOM
    objects that the domain accepts. The size of such images is ignored, because they were resized before.
    """
    scans = [kind for kind in kinds if kind.is_dicom]
    domain = Domain(
        sop_classes=_seen(kind.sop_class for kind in scans) if scans or not kinds else SECONDARY_CAPTURES,
        modalities=_seen(kind.modality for kind in scans),
        samples=((GREY, COLOUR) if any(kind.samples == COLOUR for kind in kinds) else (GREY,)) if kinds else (),
        accepts=() if scans else (SECONDARY_CAPTURE,),
    )
    if images >= ENOUGH_IMAGES:
        domain = replace(
            domain,
            body_parts=_seen(kind.body_part for kind in scans),
            views=_seen(kind.view for kind in scans),
            rows=_range_of([kind.rows for kind in scans if kind.rows]),
            columns=_range_of([kind.columns for kind in scans if kind.columns]),
            intensities=intensities,
        )
    for kind in scans:
        while reason := excluded(kind, domain):
            domain = replace(domain, accepts=(*domain.accepts, reason.reason.value))
    return domain


def with_stated(domain: Domain, stated: Mapping[str, Any]) -> Domain:
    """Return the domain with the fields that a person stated, as in bundle.json; an empty field allows every value.

    A domain that was derived from pictures accepts only secondary captures as DICOM objects. If a person states
    modalities but no SOP classes, it accepts all SOP classes, because these devices send images of other SOP classes.
    """
    fields = domain.to_json() | dict(stated)
    if takes_only_pictures(domain) and "modalities" in stated and "sop_classes" not in stated:
        del fields["sop_classes"]
    return Domain.from_json({name: value for name, value in fields.items() if value})


def takes_only_pictures(domain: Domain | None) -> bool:
    """Return whether the domain accepts only pictures and secondary captures, since no training image had a header."""
    return domain is not None and domain.sop_classes == SECONDARY_CAPTURES and not domain.modalities


def _seen(values: Any) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))


def _range_of(sizes: list[int]) -> tuple[int, int] | None:
    return (max(min(sizes) // _SIZE_FACTOR, 1), max(sizes) * _SIZE_FACTOR) if sizes else None
