"""The list of remarks, and the remarks that one image collects."""

import pytest

from db.tables import work
from imaging.remarks import DETAIL_LENGTH, Remark, Remarks
from nightread.reasons import Reason


@pytest.mark.parametrize("remark", Remark)
def test_a_remark_is_one_word_with_a_sentence(remark: Remark) -> None:
    """The stored word is lower case with underscores, so that words separated by spaces can be told apart."""
    assert remark.value.isidentifier()
    assert remark.value.islower()
    assert remark.message[0].isupper()
    assert remark.message.endswith(".")


def test_all_remarks_together_fit_their_column() -> None:
    """An image may have all remarks at once but one: with any_domain no model's domain is compared."""
    at_once = [remark for remark in Remark if remark is not Remark.ANY_DOMAIN]

    assert len(Remark.ANY_DOMAIN) < len(Remark.NEAR_DOMAIN_EDGE)
    assert len(" ".join(at_once)) <= work.c.remarks.type.length
    assert work.c.detail.type.length == DETAIL_LENGTH


def test_no_word_is_a_reason_and_a_remark() -> None:
    """`status` finds the sentence of both kinds of words in one table."""
    assert not set(map(str, Remark)) & set(map(str, Reason))


def test_an_image_without_remarks_has_neither_words_nor_detail() -> None:
    """Both columns of the database stay null."""
    remarks = Remarks()

    assert not remarks
    assert (remarks.words, remarks.detail) == (None, None)


def test_remarks_keep_their_order_and_their_first_detail() -> None:
    """A remark that is made for many frames is stored once."""
    remarks = Remarks()

    remarks.add(Remark.FRAMES_LEFT_OUT, "2 frames were left out.")
    remarks.add(Remark.VOI_NOT_USED)
    remarks.add(Remark.FRAMES_LEFT_OUT, "3 frames were left out.")

    assert remarks
    assert remarks.words == "frames_left_out voi_not_used"
    assert remarks.detail == (
        "2 frames were left out. The window or lookup table of the header cannot be used; the full range was used."
    )


def test_a_long_detail_is_cut_to_its_column() -> None:
    """The words stay complete."""
    remarks = Remarks()

    remarks.add(Remark.VOI_NOT_USED, "x" * 501)

    assert remarks.words == "voi_not_used"
    assert remarks.detail == "x" * 500
