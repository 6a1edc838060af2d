"""AE titles are read from a request however they are padded, and replaced by titles that pynetdicom accepts."""

import pytest
from association_requests import association_request

from producer.cstore.association_request import AssociationRequest, read_request, without_unknown_items

SPACES = b" " * 16


@pytest.mark.parametrize(
    ("field", "title"),
    [
        (b"CT1".ljust(16), "CT1"),
        (b"CT1".ljust(16, b"\0"), "CT1"),
        (b"CT1\0".ljust(16), "CT1"),
        (b"CT1\0garbage\xff".ljust(16), "CT1"),
        (b"  CT 1".ljust(16), "CT 1"),
        (b"SIXTEEN LETTERS1", "SIXTEEN LETTERS1"),
        (SPACES, ""),
        (bytes(16), ""),
        ("\u00c9CHO1".encode("latin-1").ljust(16), "?CHO1"),
        (b"A\\B\tC\x1b[0m".ljust(16), "A?B?C?[0m"),
    ],
)
def test_a_title_ends_at_the_first_nul(field: bytes, title: str) -> None:
    """The bytes behind it may hold anything. Letters that are not allowed become question marks."""
    assert read_request(_body(SPACES, field)).calling_ae == title
    assert read_request(_body(field, SPACES)).called_ae == title


def test_the_titles_in_the_request_are_padded_with_spaces() -> None:
    """Nothing else in it changes."""
    body = _body(b"NIGHT".ljust(16, b"\0"), bytes(16))
    assert read_request(body) == AssociationRequest(called_ae="NIGHT", calling_ae="")
    assert body == _body(b"NIGHT".ljust(16), b"NO TITLE".ljust(16))


@pytest.mark.parametrize(("length", "called", "calling"), [(0, "", ""), (10, "NIGHT", ""), (35, "NIGHT", "CT1")])
def test_a_request_that_is_cut_off_keeps_its_length(length: int, called: str, calling: str) -> None:
    """Pynetdicom then aborts the association, and the log names what had arrived of the titles."""
    body = _body(b"NIGHT".ljust(16), b"CT1".ljust(16))[:length]
    assert read_request(body) == AssociationRequest(called_ae=called, calling_ae=calling)
    assert len(body) == length


def test_items_of_unknown_type_are_left_out() -> None:
    """Everything else stays, to the byte: at both levels, and the items before and after."""
    unknown, role = b"\x77\x00\x00\x03abc", b"\x54\x00\x00\x07\x00\x031.2\x00\x01"
    plain = bytearray(association_request(SPACES, SPACES, items=role, contexts=3)[6:])
    assert without_unknown_items(bytearray(plain)) == plain
    strange = bytearray(association_request(SPACES, SPACES, items=unknown + role + unknown, contexts=3)[6:]) + unknown
    assert without_unknown_items(strange) == plain


@pytest.mark.parametrize("end", [70, 90, -1])
def test_a_request_whose_items_are_cut_off_is_left_as_it_is(end: int) -> None:
    """Pynetdicom then aborts the association."""
    body = _body(SPACES, SPACES)[:end]
    assert without_unknown_items(body) == body


def _body(called: bytes, calling: bytes) -> bytearray:
    return bytearray(association_request(called, calling)[6:])
