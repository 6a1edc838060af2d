"""The identity of a file's bytes carries the name of its algorithm."""

import pytest

from nightread.content_digest import (
    CONTENT_LENGTH,
    ContentHasher,
    content_of,
    former_content_of,
    has_content,
    hex_digits,
    is_content,
    is_former,
    named_content,
    sha256_in,
    stored_forms,
)

ABC_BLAKE3 = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
NEW, FORMER = f"blake3:{ABC_BLAKE3}", ABC_SHA256


def test_new_contents_are_blake3_and_earlier_ones_sha256() -> None:
    """Published digests of `abc`: of BLAKE3 by its authors, of SHA-256 in FIPS 180-4."""
    assert (content_of(b"abc"), former_content_of(b"abc")) == (NEW, FORMER)
    assert len(NEW) == CONTENT_LENGTH
    assert (is_former(NEW), is_former(FORMER)) == (False, True)


def test_bytes_in_pieces_have_the_same_identity() -> None:
    """Pieces of any length, as uploads bring them."""
    data = bytes(range(256)) * 1024
    hasher = ContentHasher()
    for start in range(0, len(data), 7001):
        hasher.update(data[start : start + 7001])
    assert hasher.content == content_of(data)


def test_bytes_are_compared_by_the_algorithm_of_the_identity() -> None:
    """An original is the analysed one by either algorithm; no bytes have no identity at all."""
    assert all(has_content(b"abc", content) for content in (NEW, FORMER))
    assert not any(has_content(b"abd", content) for content in (NEW, FORMER))
    assert not has_content(b"abc", None)
    assert not has_content(b"abc", f"blake3:{ABC_SHA256}")


def test_people_see_the_name_of_the_algorithm() -> None:
    """An identity without a name is a SHA-256."""
    assert named_content(NEW) == NEW
    assert named_content(FORMER) == f"sha256:{ABC_SHA256}"
    assert named_content(None) is None
    assert [sha256_in(content) for content in (NEW, FORMER, None)] == [None, ABC_SHA256, None]
    assert [hex_digits(content) for content in (NEW, FORMER)] == [ABC_BLAKE3, ABC_SHA256]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (NEW, [NEW]),
        (NEW.upper(), [NEW]),
        (f"sha256:{ABC_SHA256}", [FORMER]),
        (ABC_SHA256, [FORMER, f"blake3:{ABC_SHA256}"]),
    ],
)
def test_a_person_may_leave_the_algorithm_out(text: str, stored: list[str]) -> None:
    """Digits alone may be those of either algorithm."""
    assert is_content(text)
    assert list(stored_forms(text)) == stored


@pytest.mark.parametrize("text", ["", "1.2.840.10008", "blake3:", f"md5:{ABC_SHA256}", ABC_SHA256[1:], f"{NEW}\n"])
def test_other_texts_are_no_identity(text: str) -> None:
    """A UID, a path, an unknown algorithm, too few digits."""
    assert not is_content(text)
