"""AE titles are read from a request however they are padded, and replaced by titles that pynetdicom accepts."""

import pytest
from association_requests import association_request

from producer.cstore.association_request import AssociationRequest, read_request

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


def _body(called: bytes, calling: bytes) -> bytearray:
    return bytearray(association_request(called, calling)[6:])
