"""Remarks of one result that is one of several of an image."""

from imaging.remarks import DETAIL_LENGTH, Remark, Remarks

SHORT = "frames_left_out", "2 frames were left out."


def of_the_image() -> Remarks:
    """Return remarks with one remark."""
    remarks = Remarks()
    remarks.add(Remark.FRAMES_LEFT_OUT, SHORT[1])
    return remarks


def test_one_more_remark_is_added_to_a_copy() -> None:
    """The remarks of the image stay as they are."""
    remarks = of_the_image()
    more = remarks.plus(Remark.ANY_DOMAIN, "Not checked.")
    assert list(more) == [(Remark.FRAMES_LEFT_OUT, SHORT[1]), (Remark.ANY_DOMAIN, "Not checked.")]
    assert list(remarks) == [(Remark.FRAMES_LEFT_OUT, SHORT[1])]
    assert (remarks.words, remarks.detail) == SHORT


def test_a_further_remark_has_its_general_sentence() -> None:
    """Without a detail of its own."""
    more = Remarks().plus(Remark.ANY_DOMAIN)
    assert list(more) == [
        (Remark.ANY_DOMAIN, "It was not checked whether the model was made for this image (--any-domain).")
    ]


def test_a_remark_that_is_there_keeps_its_detail() -> None:
    """Also if it is made again."""
    assert list(of_the_image().plus(Remark.FRAMES_LEFT_OUT, "3 frames.")) == [(Remark.FRAMES_LEFT_OUT, SHORT[1])]


def test_all_remarks_of_another_list_are_added_behind() -> None:
    """Neither list changes."""
    remarks, others = of_the_image(), Remarks().plus(Remark.VOI_NOT_USED, "No window.").plus(Remark.ANY_DOMAIN, "No.")
    both = remarks.with_all(others)
    assert both.words == "frames_left_out voi_not_used any_domain"
    assert both.detail == "2 frames were left out. No window. No."
    assert (remarks.words, others.words) == ("frames_left_out", "voi_not_used any_domain")
    assert list(Remarks().with_all(Remarks())) == []


def test_a_remark_is_in_the_list_or_not() -> None:
    """An empty list is false."""
    remarks = of_the_image()
    assert Remark.FRAMES_LEFT_OUT in remarks
    assert Remark.ANY_DOMAIN not in remarks
    assert bool(remarks) is True
    assert bool(Remarks()) is False


def test_a_detail_has_500_characters_at_most() -> None:
    """The words do not count."""
    assert DETAIL_LENGTH == 500
    assert len(Remarks().plus(Remark.ANY_DOMAIN, "x" * 500).detail or "") == 500
    assert len(of_the_image().plus(Remark.ANY_DOMAIN, "x" * 500).detail or "") == 500


def test_a_remark_is_its_word() -> None:
    """The sentence is beside it."""
    assert str(Remark.PALETTE_MISSING) == Remark.PALETTE_MISSING.value == "palette_missing"
    assert {remark.value: remark for remark in Remark}["palette_missing"] is Remark.PALETTE_MISSING
    assert Remark.PALETTE_MISSING.message.startswith("The header has no colour palette;")
