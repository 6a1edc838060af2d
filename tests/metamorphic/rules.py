"""Say which levels can occur together: what the standard forbids and nobody writes is not a cell."""

from metamorphic.axes import (
    BITS,
    DCT,
    GREYS,
    HTJ2K,
    JPEG_LOSSLESS,
    LOSSLESS,
    NATIVE,
    PALETTES,
    UNCODED,
)
from metamorphic.combinations import Rule

INTEGER_LUTS = frozenset(
    (
        "lut8", "lut8_words", "lut8_said16", "lut12", "lut12_said16", "lut16", "lut16_us", "lut_said_us", "lut65536",
        "luts", "lut_and_window", "lut_empty",
    )
)  # fmt: skip
_WINDOWS = frozenset(("linear", "linear_exact", "sigmoid", "narrow", "several"))
_FEW_BITS = frozenset(("8", "8of16", "6of8", "10", "12", "12top", "10mid", "15", "16"))
_BITS_OF_COLOUR = {
    "RGB": frozenset(("8", "8of16", "12", "16", "32")),
    "RGB_planar": frozenset(("8", "16", "32")),
    "RGB_unmarked": frozenset(("8", "16")),
    **dict.fromkeys(PALETTES, frozenset(("8", "8of16", "12", "16", "12top"))),
}
_SYNTAXES_OF_COLOUR = {
    **dict.fromkeys(PALETTES, LOSSLESS),
    "RGB": UNCODED | DCT | JPEG_LOSSLESS | {"jpegls80", "j2k90"} | HTJ2K,
    "RGB_planar": UNCODED | {"jpegls80"},
    "RGB_unmarked": DCT | JPEG_LOSSLESS,
    "YBR_FULL": UNCODED | DCT | JPEG_LOSSLESS | {"jpegls80", "j2k90"},
    "YBR_FULL_planar": UNCODED,
    "YBR_FULL_422": NATIVE | DCT,
    "YBR_unmarked": DCT | JPEG_LOSSLESS,
    "YBR_RCT": {"j2k90"} | HTJ2K,
    "YBR_ICT": {"j2k91"},
    "422label_444data": UNCODED | DCT,
    "422label_420data": DCT,
    "RGBlabel_YBRdata": DCT,
    "RGBlabel_MCT": {"j2k90"} | HTJ2K,
    "RCTlabel_noMCT": {"j2k90"} | HTJ2K,
    "YBRlabel_MCT": {"j2k90"},
    "lossless_is_baseline": JPEG_LOSSLESS,
}


def _syntax_bits(syntax: str, bits: str) -> bool:
    if syntax == "big":  # programs do not agree on the order of the two words of a 32-bit integer
        return BITS[bits].floating or BITS[bits].allocated <= 16
    if syntax in NATIVE:
        return True
    if syntax == "rle":
        return bits in _FEW_BITS | {"20of32", "32"}
    allowed = {"jpeg50": {"8", "8of16"}, "jpeg51": {"8", "10", "12"}}
    return bits in allowed.get(syntax, _FEW_BITS)


def _precision(syntax: str, bits: str, precision: str) -> bool:
    if syntax in UNCODED:
        return precision == "uncoded"
    allocated, stored, high, _ = BITS[bits]
    full = allocated == stored
    if syntax in DCT:
        return precision == "stored"
    if syntax in HTJ2K:  # its encoder writes whole words only
        return precision == "allocated"
    if precision == "allocated":  # a lossy codec could change the highest bits of a word that is not full
        return full or syntax in LOSSLESS
    return precision == "stored" and not full and high == stored - 1


def _unused(bits: str, sign: str, unused: str) -> bool:
    allocated, stored, high, _ = BITS[bits]
    if unused == "sign":
        return sign == "signed" and high < allocated - 1
    return unused == "zeros" or allocated > stored


def _bits_of_colour(colour: str, bits: str) -> bool:
    if colour in GREYS:
        return colour == "MONOCHROME2" or not BITS[bits].floating
    return bits in _BITS_OF_COLOUR.get(colour, {"8"})


def _bits_of_transform(bits: str, modality: str, voi: str) -> bool:
    if bits == "1":
        return modality in ("none", "rescale") and voi in ("none", "linear", "width_zero")
    if BITS[bits].allocated > 16:
        tables = modality.startswith("lut") or voi in INTEGER_LUTS
        return not tables and (not BITS[bits].floating or modality in ("none", "rescale", "tiny", "per_frame"))
    # Beside a rescale for each frame a table for all of them may begin below zero in one frame and not in another.
    unsure = modality == "tiny" or (modality == "per_frame" and BITS[bits].stored > 12)
    return not (unsure and voi in INTEGER_LUTS)


def _negative_first(sign: str, modality: str, voi: str) -> bool:
    """A first value can be negative if the inputs of the table can."""
    if voi != "lut_said_us":
        return True
    return modality == "rescale" or (sign == "signed" and modality in ("none", "empty", "falling", "intercept_only"))


def _slip_of_label(colour: str, slip: str) -> bool:
    if "photometric" in slip:
        return colour == "MONOCHROME2"
    if slip == "comma":
        return colour in GREYS
    return slip != "no_samples" or colour in GREYS | PALETTES


def _slip_of_bits(bits: str, sign: str, slip: str) -> bool:
    if slip == "no_bits_stored":
        return BITS[bits].stored == BITS[bits].allocated
    return slip != "no_representation" or sign == "unsigned"


def _comma(modality: str, voi: str, slip: str) -> bool:
    return slip != "comma" or modality in ("rescale", "tiny") or voi in _WINDOWS


def _file_of_syntax(syntax: str, file: str) -> bool:
    if file == "no_meta":
        return syntax in NATIVE - {"deflated"}
    if file in ("un_undefined", "invalid_vr"):
        return syntax != "implicit"
    if file == "un":  # of which byte order its content is, no one can know in a big endian file
        return syntax not in ("implicit", "big")
    if file == "other_encoding":
        return syntax in ("implicit", "explicit")
    if file == "ow":
        return syntax in NATIVE - {"implicit"}
    return True


def _items(syntax: str, items: str) -> bool:
    if syntax in NATIVE:
        return items == "uncoded"
    fragmented = items.startswith("fragments")
    return items != "uncoded" and not (syntax == "rle" and fragmented)


RULES = (
    Rule(("syntax", "bits"), _syntax_bits),
    Rule(("syntax", "bits", "precision"), _precision),
    Rule(("syntax", "sign"), lambda syntax, sign: sign == "unsigned" or syntax not in DCT | {"jpegls81"}),
    Rule(("syntax", "unused"), lambda syntax, unused: unused == "zeros" or syntax in LOSSLESS),
    Rule(("precision", "unused"), lambda precision, unused: precision != "stored" or unused == "zeros"),
    Rule(("bits", "sign", "unused"), _unused),
    Rule(("bits", "sign"), lambda bits, sign: sign == "unsigned" or (bits != "1" and not BITS[bits].floating)),
    Rule(("colour", "bits"), _bits_of_colour),
    Rule(("colour", "sign"), lambda colour, sign: sign == "unsigned" or colour in GREYS | PALETTES),
    Rule(("syntax", "colour"), lambda syntax, colour: syntax in _SYNTAXES_OF_COLOUR.get(colour, {syntax})),
    Rule(("colour", "modality"), lambda colour, modality: colour in GREYS or modality in ("none", "rescale")),
    Rule(("colour", "voi"), lambda colour, voi: colour in GREYS or voi in ("none", "linear", "width_zero")),
    Rule(("bits", "modality", "voi"), _bits_of_transform),
    Rule(("sign", "modality", "voi"), _negative_first),
    Rule(("colour", "slip"), _slip_of_label),
    Rule(("bits", "sign", "slip"), _slip_of_bits),
    Rule(("modality", "voi", "slip"), _comma),
    Rule(("colour", "frames"), lambda colour, frames: colour != "422label_444data" or frames in ("1", "absent_1", "3")),
    # Three frames with half the chroma samples are as long as two with all of them: nobody can tell.
    Rule(
        ("syntax", "colour", "frames"),
        lambda syntax, colour, frames: syntax not in NATIVE or (colour, frames) != ("YBR_FULL_422", "2_of_3"),
    ),
    Rule(("syntax", "items"), _items),
    Rule(("syntax", "end"), lambda syntax, end: syntax not in NATIVE or end in ("plain", "slack")),
    Rule(("syntax", "file"), _file_of_syntax),
    Rule(("bits", "file"), lambda bits, file: file != "ow" or BITS[bits].allocated <= 8),
    Rule(
        ("end", "file"),
        lambda end, file: not file.startswith("trailing") or end not in ("no_delimiter", "zeros", "item_delimiter"),
    ),
    Rule(("frames", "size"), lambda frames, size: size != "large" or frames == "1"),
    Rule(
        ("syntax", "colour", "size"),
        lambda syntax, colour, size: size != "odd" or colour != "YBR_FULL_422" or syntax not in NATIVE,
    ),
)
