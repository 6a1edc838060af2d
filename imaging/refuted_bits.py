"""Find what the words of a frame contradict in the header: BitsStored, HighBit, the sign or the order of the bytes.

The right reading of a picture is smooth: neighbouring pixels differ little. A wrong one has leaps, where a bit is cut
off, where the sign changes, or everywhere.
"""

from typing import NamedTuple

import numpy as np

from imaging import tags
from imaging.array import Array
from imaging.pixel_layout import GRAYSCALE, PixelLayout
from imaging.tags import tag_name

_WORD, _BYTE_BITS = 2, 8
_SMOOTHER, _MUCH_SMOOTHER = 0.8, 0.5
"""Another reading is right if its variation is less than this share of that of the header's reading: the first number
if words have bits that the header does not allow, the second if nothing else speaks against the header."""
_SAMPLED_ROWS, _SAMPLED_COLUMNS = 8, 256
_HALF = 1 << 15
"""Half of all values of 16 bits."""
_MANY_VALUES = 256
"""A picture with a sign has at least so many different values. Pictures that were made from 8 bits have fewer."""
_MOST_MARKS = 2
"""Text and marks that were written into a picture have at most this many different values."""
_NOISE, _ORDERLY = 0.05, 0.25
"""Words whose neighbours differ by this share of their range may be noise. The other order of the bytes is right if it
has less than a quarter of the roughness."""
_ONE_IN_TEN = 0.1
_COLOURS = 3
_STORED, _HIGH_BIT = tag_name(tags.BITS_STORED), tag_name(tags.HIGH_BIT)
_UNSURE_SIGN = f"By the pixel values, {tag_name(tags.PIXEL_REPRESENTATION)} may be wrong; it was used."
_SIGN = f"The sign of the pixel values contradicts {tag_name(tags.PIXEL_REPRESENTATION)}."
BEGIN_LOW = f"The pixel values begin at bit 0, which contradicts {_HIGH_BIT}."
SWAPPED = "The bytes of the pixel values are in the other order than the transfer syntax says."
_UNSURE_ORDER = "By the pixel values, the order of their bytes may be wrong; that of the transfer syntax was used."


class Refuted(NamedTuple):
    """The values that the words really have, the bits that they can use, and what they contradict."""

    values: Array
    bits: int
    note: str


def has_leaps(words: Array, layout: PixelLayout) -> bool:
    """Return whether neighbours of grey words of 16 bits differ by more than half of all values.

    They do if the sign or the order of the bytes is wrong. Few other pictures have such leaps, so most need no further
    look.
    """
    if words.dtype.itemsize != _WORD or layout.photometric not in GRAYSCALE:
        return False
    if words.size < _MANY_VALUES:
        return False
    differences = _differences(_sample(words).astype(np.int32))
    return differences.size > 0 and int(differences.max()) > _HALF


def refuted_words(words: Array, masked: Array, layout: PixelLayout, shift: int, *, leaps: bool) -> Refuted | None:
    """Return what the words of a frame are, if they contradict the header; else None.

    `words` have the sign of PixelRepresentation, `masked` are the values that the header describes, `shift` is the
    lowest bit of these values, and `leaps` is the result of `has_leaps`.
    """
    if shift > 0:
        return Refuted(words, layout.bits_stored, BEGIN_LOW) if _lie_low(words, layout, shift) else None
    if layout.photometric in GRAYSCALE:
        if layout.bits_stored == words.dtype.itemsize * _BYTE_BITS:
            return _of_other_sign(words) if leaps else None
        if masked is not words:
            return _signed(words, masked, layout) if layout.signed else _unsigned(words, layout)
    if layout.samples == _COLOURS and layout.signed:
        return _unsigned_colours(words, layout)
    return None


def in_other_order(words: Array, masked: Array, layout: PixelLayout) -> tuple[Array, str] | None:
    """Return grey words of 16 bits with their bytes swapped, and a note, if this is clearly their right order.

    The words have leaps, and `masked` are the values that the header describes. In the wrong order, the byte that
    changes most comes first, so the picture looks like noise. If the right order is not clear, the words are returned
    as they are, with a note. None if nothing speaks against the header.
    """
    sample = _sample(words)
    roughness = _roughness(sample if masked is words else _sample(masked))
    if roughness < _NOISE:
        return None
    swapped = sample.byteswap()
    if _roughness(swapped) >= _ORDERLY * roughness:
        return None
    if not layout.signed and int(swapped.max()) >> layout.high_bit + 1:
        return None
    return (words.byteswap(), SWAPPED) if _has_many_high_bytes(swapped) else (words, _UNSURE_ORDER)


def _has_many_high_bytes(words: Array) -> bool:
    """Return whether many words have other high bytes than the two most frequent ones.

    If most words have the same high byte, a few others make any noise look smooth: text in 16 bits over values that
    have only 8.
    """
    inner = words.view(np.uint16)
    inner = inner[(inner > 0) & (inner < 2 * _HALF - 1)]
    numbers = np.sort(np.bincount(inner >> _BYTE_BITS))
    return int(numbers[:-2].sum()) >= _ONE_IN_TEN * inner.size


def _of_other_sign(words: Array) -> Refuted | None:
    """Return words that use all of their 16 bits with the other sign, if this reading has far fewer leaps.

    Black and white areas without values between them have such leaps too. So the values must also be continuous where
    the sign changes; if they are not, nobody can tell, and the words keep their sign, with a note.
    """
    for some in (_sample(words), words):
        if not _has_fewer_leaps_with_other_sign(some):
            return None
    bits = words.dtype.itemsize * _BYTE_BITS
    if not _is_continuous_with_other_sign(words):
        return Refuted(words, bits, _UNSURE_SIGN)
    return Refuted(_with_other_sign(words), bits, _SIGN)


def _is_continuous_with_other_sign(words: Array) -> bool:
    """Return whether words of 16 bits have many values, and are continuous where the other sign changes.

    They are continuous if one in ten of the neighbours with different signs differs by no more than one in ten of the
    other neighbours does.
    """
    if np.count_nonzero(np.bincount(words.view(np.uint16).reshape(-1))) < _MANY_VALUES:
        return False
    pairs, crossing = _inner_pairs(words)
    differences = _differences(_with_other_sign(words).astype(np.int32))
    across, within = differences[pairs & crossing], differences[pairs & ~crossing]
    return bool(within.size and np.quantile(across, _ONE_IN_TEN) <= np.quantile(within, 1 - _ONE_IN_TEN))


def _has_fewer_leaps_with_other_sign(words: Array) -> bool:
    """Return the same as `_has_fewer_leaps` for words of 16 bits with the other sign, in half of the time."""
    pairs, crossing = _inner_pairs(words)
    said = _differences(words.astype(np.int32))
    # With the other sign, each crossing changes its difference d to 2 * HALF - d.
    changed = said[pairs & crossing]
    of_said = int(said[pairs].sum())
    of_other = of_said + 2 * (_HALF * changed.size - int(changed.sum()))
    return bool(of_other < _MUCH_SMOOTHER * of_said)


def _inner_pairs(words: Array) -> tuple[Array, Array]:
    """Return which neighbours both have no extreme value, and of which only one is in the upper half of all values."""
    lowest, highest = (-_HALF, _HALF - 1) if words.dtype.kind == "i" else (0, 2 * _HALF - 1)
    inner, upper = (words > lowest) & (words < highest), words >= lowest + _HALF
    return inner[..., 1:] & inner[..., :-1], upper[..., 1:] != upper[..., :-1]


def _signed(words: Array, masked: Array, layout: PixelLayout) -> Refuted | None:
    """Return whole words if they have fewer leaps than the lowest bits, whose sign BitsStored decides."""
    if np.array_equal(_sample(words), _sample(masked)):
        return None
    if not _has_fewer_leaps(words, masked, layout.bits_stored, _SMOOTHER):
        return None
    low, high = int(words.min()), int(words.max())
    if low >= 0 and high >> layout.bits_stored == 0:
        return Refuted(_with_other_sign(words), layout.bits_stored, _SIGN)
    return Refuted(words, *_signed_bits(low, high, layout))


def _unsigned(words: Array, layout: PixelLayout) -> Refuted | None:
    """Return the right reading of words that use bits above BitsStored; None if these are no pixels."""
    stored, highest = layout.bits_stored, int(words.max())
    used = highest.bit_length()
    if used <= stored:
        return None
    signed = _with_other_sign(words)
    low, high = int(signed.min()), int(signed.max())
    has_sign = len(np.unique(signed[signed < 0])) > _MOST_MARKS
    limit = 1 << stored - 1
    if has_sign and -limit <= low and high < limit:
        return Refuted(signed, stored, _SIGN)
    if _end_high(words, stored):
        values = words >> words.dtype.itemsize * _BYTE_BITS - stored
        return Refuted(values, stored, f"The pixel values end at the highest bit, not at {_HIGH_BIT}.")
    low_bits = _variation(words & (1 << stored) - 1)
    whole, of_signed = _variation(words), _variation(signed) if has_sign else np.inf
    if min(whole, of_signed) >= _SMOOTHER * low_bits:
        return None
    if of_signed < _SMOOTHER * whole:
        return Refuted(signed, *_signed_bits(low, high, layout))
    return Refuted(words, used, f"The pixel values have {used} bits, but {_STORED} is {stored}.")


def _signed_bits(low: int, high: int, layout: PixelLayout) -> tuple[int, str]:
    bits = max(low ^ -1, high).bit_length() + 1
    return bits, f"The pixel values have {bits} bits and a sign, but {_STORED} is {layout.bits_stored}."


def _unsigned_colours(words: Array, layout: PixelLayout) -> Refuted | None:
    """Return colours without a sign. Hardly any colours have one, but some writers copy it from a grey image."""
    flat = words.reshape(-1)
    other = _with_other_sign(flat)
    if flat.size < _MANY_VALUES or _variation(other, _COLOURS) >= _SMOOTHER * _variation(flat, _COLOURS):
        return None
    return Refuted(_with_other_sign(words), layout.bits_stored, _SIGN)


def _lie_low(words: Array, layout: PixelLayout, shift: int) -> bool:
    """Return whether the values are in the low bits, and not at HighBit.

    This is so if all values fit into BitsStored bits, and if most of the values that need more than `shift` bits also
    use the lowest `shift` bits.
    """
    top = 1 << layout.bits_stored - layout.signed
    if int(words.max()) >= top or int(words.min()) < -top:
        return False
    more = words[words >= 1 << shift]
    return more.size > 0 and 2 * int(np.count_nonzero(more & (1 << shift) - 1)) >= more.size


def _end_high(words: Array, stored: int) -> bool:
    """Return whether the values use the highest bits of the words: the bits below are zero.

    The bits above `stored` then have many different values. Overlays have at most a few, because each is one bit.
    """
    below = words.dtype.itemsize * _BYTE_BITS - stored
    if stored <= below or (words & (1 << below) - 1).any():
        return False
    return len(np.unique(_sample(words) >> stored)) > below + 1


def _sample(words: Array) -> Array:
    """Return the middle of a few rows of a grey frame, which is read in microseconds."""
    step, left = -(-len(words) // _SAMPLED_ROWS), max(words.shape[1] - _SAMPLED_COLUMNS, 0) // 2
    return words[step // 2 :: step, left : left + _SAMPLED_COLUMNS]


def _with_other_sign(words: Array) -> Array:
    return words.view(f"{'u' if words.dtype.kind == 'i' else 'i'}{words.dtype.itemsize}")


def _variation(words: Array, step: int = 1) -> int:
    """Return the sum of the differences between neighbours in a row."""
    return int(_differences(words.astype(np.int64), step).sum())


def _differences(wide: Array, step: int = 1) -> Array:
    """Return the differences between neighbours in a row; the type of `wide` must hold them."""
    differences: Array = np.abs(wide[..., step:] - wide[..., :-step])
    return differences


def _roughness(words: Array) -> float:
    """Return the mean difference between neighbours, as a share of the range of the words."""
    span = int(words.max()) - int(words.min())
    return _variation(words) / (words.size * span) if span else 0.0


def _has_fewer_leaps(other: Array, said: Array, bits: int, share: float) -> bool:
    """Return whether another reading varies less than this share of what the header says, which has a sign.

    Neighbours with an extreme value of `bits` bits do not count: black text on white hardly varies if its sign is
    wrong.
    """
    lowest, values = -(1 << bits - 1), 1 << bits
    inner = (said > lowest) & (said < lowest + values - 1)
    pairs = inner[..., 1:] & inner[..., :-1]
    of_other, of_said = (int(np.abs(np.diff(each.astype(np.int64)))[pairs].sum()) for each in (other, said))
    return of_other < share * of_said
