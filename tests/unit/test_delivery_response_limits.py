"""What the answer of a web store may not be: too large, or of other types than its table says (PS3.18, 10.5.3)."""

import json

import pytest
from test_delivery_responses import UID, parsed

from delivery.store_response import require_stored

TAGS = {"FailedSOPSequence": "00081198", "ReferencedSOPSequence": "00081199"}


def body_with(signs: int, media_type: str) -> bytes:
    """Return a valid body with this number of signs that may begin a value: `[`, `,`, `{` in JSON, and `<` in XML."""
    if media_type == "application/xml":
        return b"<a><!--%b--></a>" % (b"<" * (signs - 3))
    return b'{"0040A160":{"vr":"UT","Value":["%b"]}}' % (b"," * (signs - 4))


@pytest.mark.parametrize("media_type", ["application/json", "application/xml"])
def test_a_body_has_at_most_50000_signs_of_a_value(media_type: str) -> None:
    """A normal answer has about ten; one sign more is refused before anything is parsed."""
    parsed(body_with(50_000, media_type), media_type)
    with pytest.raises(ValueError, match=r"^invalid response \(ValueError\)$"):
        parsed(body_with(50_001, media_type), media_type)


def test_a_document_type_declaration_is_refused() -> None:
    """It can define entities that grow without end."""
    with pytest.raises(ValueError, match=r"^invalid response \(ValueError\)$"):
        parsed(b"<!DOCTYPE a><a/>", "application/xml")


def test_a_keyword_of_no_dictionary_is_skipped_in_xml() -> None:
    """It would replace the method `get` of the data set. What follows is read."""
    body = (
        '<NativeDicomModel><DicomAttribute vr="LO" keyword="get"><Value number="1">x</Value></DicomAttribute>'
        '<DicomAttribute vr="US" keyword="WarningReason"><Value number="1">45062</Value></DicomAttribute>'
        "</NativeDicomModel>"
    )
    assert parsed(body.encode(), "application/xml").get("WarningReason") == 0xB006


@pytest.mark.parametrize("keyword", list(TAGS))
def test_a_text_in_place_of_a_sequence_is_an_invalid_module(keyword: str) -> None:
    """PS3.18, table 10.5.3-1: both elements are sequences."""
    body = json.dumps({TAGS[keyword]: {"vr": "LO", "Value": ["x"]}}).encode()
    with pytest.raises(ValueError, match=rf"^{keyword} is not a sequence$"):
        require_stored(parsed(body), UID)


@pytest.mark.parametrize(("number", "status"), [("0", 0), ("65535", 0xFFFF)])
def test_a_status_in_xml_may_be_any_number_of_16_bits(number: str, status: int) -> None:
    """VR US (PS3.5, table 6.2-1)."""
    body = f'<a><b vr="US" keyword="WarningReason"><Value number="1">{number}</Value></b></a>'
    assert parsed(body.encode(), "application/xml").WarningReason == status


@pytest.mark.parametrize("number", ["-1", "65536", "x"])
def test_a_status_in_xml_is_no_other_number(number: str) -> None:
    """The answer is then no answer of a store."""
    body = f'<a><b vr="US" keyword="WarningReason"><Value number="1">{number}</Value></b></a>'
    with pytest.raises(ValueError, match=r"^invalid response \(ValueError\)$"):
        parsed(body.encode(), "application/xml")
