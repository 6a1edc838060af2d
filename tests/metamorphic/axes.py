"""List the axes of the matrix and their levels. A cell takes one level of each axis."""

from typing import NamedTuple

SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "big": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg50": "1.2.840.10008.1.2.4.50",
    "jpeg51": "1.2.840.10008.1.2.4.51",
    "jpeg57": "1.2.840.10008.1.2.4.57",
    "jpeg70": "1.2.840.10008.1.2.4.70",
    "jpegls80": "1.2.840.10008.1.2.4.80",
    "jpegls81": "1.2.840.10008.1.2.4.81",
    "j2k90": "1.2.840.10008.1.2.4.90",
    "j2k91": "1.2.840.10008.1.2.4.91",
    "htj2k201": "1.2.840.10008.1.2.4.201",
    "htj2k202": "1.2.840.10008.1.2.4.202",
    "htj2k203": "1.2.840.10008.1.2.4.203",
}
NATIVE = frozenset(("implicit", "explicit", "big", "deflated"))
EXPLICIT = frozenset(SYNTAXES) - {"implicit"}
UNCODED = NATIVE | {"rle"}
"""Syntaxes whose frames have no header of their own."""
DCT = frozenset(("jpeg50", "jpeg51"))
JPEG_LOSSLESS = frozenset(("jpeg57", "jpeg70"))
JPEG_LS = frozenset(("jpegls80", "jpegls81"))
J2K = frozenset(("j2k90", "j2k91"))
HTJ2K = frozenset(("htj2k201", "htj2k202", "htj2k203"))
JPEG_2000 = J2K | HTJ2K
LOSSLESS = frozenset(SYNTAXES) - DCT - {"jpegls81", "j2k91"}
"""htj2k203 allows both; the matrix writes it without loss."""


class Bits(NamedTuple):
    """Number of bits allocated and stored, the position of the highest one, and whether the pixels are floats."""

    allocated: int
    stored: int
    high: int
    floating: bool = False


BITS = {
    "8": Bits(8, 8, 7),
    "8of16": Bits(16, 8, 7),
    "6of8": Bits(8, 6, 5),
    "10": Bits(16, 10, 9),
    "12": Bits(16, 12, 11),
    "12top": Bits(16, 12, 15),
    "10mid": Bits(16, 10, 13),
    "15": Bits(16, 15, 14),
    "16": Bits(16, 16, 15),
    "20of32": Bits(32, 20, 19),
    "32": Bits(32, 32, 31),
    "1": Bits(1, 1, 0),
    "float": Bits(32, 32, 31, floating=True),
    "double": Bits(64, 64, 63, floating=True),
}
GREYS = frozenset(("MONOCHROME2", "MONOCHROME1"))
PALETTES = frozenset(
    (
        "palette8", "palette16", "segmented8", "segmented16",
        "palette_said16_bytes", "palette_said16_low", "palette_said8_low", "palette_said8_high", "palette_said8_both",
    )
)  # fmt: skip
YBR_422_HABITS = frozenset(("422label_444data",))
AXES: dict[str, tuple[str, ...]] = {
    "syntax": tuple(SYNTAXES),
    "colour": (
        *sorted(GREYS, reverse=True),
        "RGB", "RGB_planar", "RGB_unmarked", "YBR_FULL", "YBR_FULL_planar", "YBR_FULL_422", "YBR_unmarked",
        "YBR_RCT", "YBR_ICT",
        "422label_444data", "422label_420data", "RGBlabel_YBRdata", "RGBlabel_MCT", "RCTlabel_noMCT", "YBRlabel_MCT",
        "lossless_is_baseline",
        *sorted(PALETTES),
    ),
    "bits": tuple(BITS),
    "sign": ("unsigned", "signed"),
    "unused": ("zeros", "overlay", "sign"),
    "precision": ("uncoded", "stored", "allocated"),
    "modality": (
        "none", "rescale", "falling", "tiny", "empty", "intercept_only", "shared", "per_frame",
        "lut", "lut8", "lut_identity", "lut_empty", "lut_other",
    ),
    "voi": (
        "none", "linear", "linear_exact", "sigmoid", "narrow", "one_wide", "several", "shared", "per_frame", "empty",
        "lut8", "lut8_words", "lut8_said16", "lut12", "lut12_said16", "lut16", "lut16_us", "lut_said_us", "lut65536",
        "luts", "lut_and_window",
        "width_zero", "width_absent", "nan", "lut_empty",
    ),
    "frames": ("1", "absent_1", "zero_1", "3", "absent_3", "1_of_3", "2_of_3", "4_of_3"),
    "items": ("uncoded", "table", "no_table", "extended", "fragments", "fragments_no_table", "wrong_table"),
    "end": ("plain", "slack", "no_delimiter", "zeros", "item_delimiter", "empty_fragment"),
    "file": (
        "plain", "no_preamble", "no_meta", "group_lengths", "undefined_lengths", "un", "un_undefined",
        "trailing_padding", "trailing_zeros", "private", "meta_length_wrong", "other_encoding", "odd_length",
        "invalid_vr", "ow",
    ),
    "slip": (
        "none", "no_photometric", "empty_photometric", "photometric_blank", "photometric_lower", "no_samples",
        "no_bits_stored", "no_representation", "unneeded_invalid", "comma",
    ),
    "size": ("even", "odd", "large"),
}  # fmt: skip
SIZES = {"even": (24, 32), "odd": (17, 23), "large": (256, 264)}


class Cell(NamedTuple):
    """One cell of the matrix: one level of each axis, in the order of AXES."""

    syntax: str = "explicit"
    colour: str = "MONOCHROME2"
    bits: str = "12"
    sign: str = "unsigned"
    unused: str = "zeros"
    precision: str = "uncoded"
    modality: str = "none"
    voi: str = "none"
    frames: str = "1"
    items: str = "uncoded"
    end: str = "plain"
    file: str = "plain"
    slip: str = "none"
    size: str = "even"

    @property
    def id(self) -> str:
        """The levels that differ from the plainest cell of the same syntax, as `axis=level`, joined by commas."""
        usual = Cell()
        named = [f"{axis}={level}" for axis, level in zip(AXES, self, strict=True) if level != getattr(usual, axis)]
        return ",".join(named) or "plain"

    @classmethod
    def from_id(cls, text: str) -> "Cell":
        """Return the cell with this id."""
        return cls(**dict(part.split("=", 1) for part in text.split(",") if "=" in part))


assert Cell._fields == tuple(AXES)
