"""What is made of a few elements is made once for a series, and never taken for another one."""

import pytest
from explicit_elements import data_set, element, numbers, sequence

from imaging import tags
from imaging.elements import Elements
from imaging.series_cache import SeriesCache
from imaging.walk import HeaderError


class Counter:
    """Makes the text of one element, and counts how often."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, elements: Elements, mark: str = "") -> str:
        """Return text and mark."""
        self.made += 1
        return f"{elements.text(tags.MODALITY)}{mark}"


@pytest.fixture
def counter() -> Counter:
    """Return a new counter."""
    return Counter()


@pytest.fixture
def cache(counter: Counter) -> SeriesCache[str]:
    """Return an empty cache for the modality."""
    return SeriesCache(counter, tags.MODALITY)


def modality(text: str, *more: bytes, vr: str = "CS") -> Elements:
    """Return a data set with a modality."""
    return data_set(element(tags.MODALITY, vr, text), *more)


def test_equal_values_are_made_once(cache: SeriesCache[str], counter: Counter) -> None:
    """Other elements do not matter."""
    assert cache.get(modality("CT")) == "CT"
    assert cache.get(modality("CT", element(tags.PATIENT_ID, "LO", "7"))) == "CT"
    assert counter.made == 1


def test_other_values_vrs_and_arguments_are_made_anew(cache: SeriesCache[str], counter: Counter) -> None:
    """Everything that could change the result is compared, also that an element is missing."""
    latin = element(tags.SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 100")
    different = [
        modality("CT"),
        modality("MR"),
        modality("CT", vr="LO"),
        data_set(),
        data_set(latin, element(tags.MODALITY, "CS", "CT")),
    ]
    for each in different:
        cache.get(each)
    cache.get(different[0], "!")
    assert counter.made == len(different) + 1
    assert cache.get(different[0], "!") == "CT!"


def test_the_byte_order_is_compared() -> None:
    """The same two bytes are 1 or 256."""
    cache = SeriesCache(lambda elements: elements.integer(tags.ROWS), tags.ROWS)
    little, big = (
        data_set(numbers(tags.ROWS, value, little=little), little=little) for value, little in ((1, True), (256, False))
    )
    assert (cache.get(little), cache.get(big)) == (1, 256)


def test_long_values_are_not_kept(cache: SeriesCache[str], counter: Counter) -> None:
    """Comparing a lookup table would take longer than to read a window."""
    for length, made in ((256, 1), (258, 2)):
        counter.made = 0
        for _ in range(2):
            cache.get(modality("C" * length, vr="LT"))
        assert counter.made == made


def test_values_of_undefined_length_are_not_kept(counter: Counter) -> None:
    """Their bytes are not known without a walk."""
    cache = SeriesCache(counter, tags.CODING_SCHEME_IDENTIFICATIONS)
    opened = sequence(tags.CODING_SCHEME_IDENTIFICATIONS, [], length=0xFFFFFFFF)
    end = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    for _ in range(2):
        cache.get(data_set(opened, end))
    assert counter.made == 2


def test_only_so_many_results_are_kept(cache: SeriesCache[str], counter: Counter) -> None:
    """A night has thousands of series. The result for the 257th takes the place of all before it."""
    for number in range(256):
        cache.get(modality(f"M{number}"))
    cache.get(modality("M0"))
    assert counter.made == 256
    cache.get(modality("M256"))
    cache.get(modality("M0"))
    assert counter.made == 258


def test_only_compared_elements_can_be_read() -> None:
    """Otherwise an image could get a value that depends on another image."""
    cache = SeriesCache(list, tags.MODALITY)
    assert cache.get(modality("CT", numbers(tags.ROWS, 2))) == [tags.MODALITY]


def test_errors_are_not_kept() -> None:
    """Each image with a faulty header is rejected."""
    cache = SeriesCache(lambda elements: elements.integer(tags.ROWS), tags.ROWS)
    for _ in range(2):
        with pytest.raises(HeaderError):
            cache.get(data_set(element(tags.ROWS, "IS", "two")))
