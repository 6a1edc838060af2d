"""Encode data sets byte by byte (PS3.5 section 7), in lawful and in unlawful ways that real writers have."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

Element = tuple[str, Any]
"""VR and value: text, a list of numbers, bytes, an array, or a list of data sets."""
DataSet = Mapping[int, Element]

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT")
_CODES = {"US": "H", "SS": "h", "UL": "I", "FL": "f", "FD": "d"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How data elements are written."""

    implicit: bool = False
    little: bool = True
    undefined: bool = False
    """Sequences and items have undefined lengths and delimiters."""
    un: bool = False
    """Sequences have VR UN; their content is in implicit VR little endian (PS3.5 section 6.2.2)."""
    group_lengths: bool = False

    @property
    def order(self) -> str:
        """The byte order as struct code."""
        return "<" if self.little else ">"


def encoded(data_set: DataSet, form: Form) -> bytes:
    """Return the bytes of a data set, in the order of its tags."""
    parts = []
    for group, tags in groupby(sorted(data_set), key=lambda tag: tag >> 16):
        elements = b"".join(element(tag, *data_set[tag], form) for tag in tags)
        if form.group_lengths:
            parts.append(element(group << 16, "UL", [len(elements)], form))
        parts.append(elements)
    return b"".join(parts)


def element(tag: int, vr: str, value: Any, form: Form) -> bytes:
    """Return the bytes of one element."""
    if vr == "SQ":
        return _sequence(tag, value, form)
    raw = _raw(vr, value, form)
    return header(tag, vr, len(raw), form) + raw


def header(tag: int, vr: str, length: int, form: Form) -> bytes:
    """Return tag, VR and length."""
    start = struct.pack(form.order + "HH", tag >> 16, tag & 0xFFFF)
    if form.implicit:
        return start + struct.pack(form.order + "I", length)
    if vr in _LONG:
        return start + vr.encode() + b"\0\0" + struct.pack(form.order + "I", length)
    return start + vr.encode() + struct.pack(form.order + "H", length)


def _raw(vr: str, value: Any, form: Form) -> bytes:
    if isinstance(value, np.ndarray):
        return value.astype(value.dtype.newbyteorder(form.order)).tobytes()
    if isinstance(value, bytes):
        if vr == "LO":
            return value
        value += b"\0" * (len(value) % 2)
        in_big_words = vr == "OW" and not form.little
        return np.frombuffer(value, "<u2").astype(">u2").tobytes() if in_big_words else value
    if isinstance(value, str):
        raw = value.encode()
        return raw + (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)
    return struct.pack(f"{form.order}{len(value)}{_CODES[vr]}", *value)


def _sequence(tag: int, items: list[DataSet], form: Form) -> bytes:
    inner = Form(implicit=True, undefined=form.undefined) if form.un and not form.implicit else form
    content = b"".join(_item(each, inner) for each in items)
    vr = "UN" if form.un else "SQ"
    if form.undefined:
        return header(tag, vr, UNDEFINED, form) + content + delimiter(SEQUENCE_END, inner)
    return header(tag, vr, len(content), form) + content


def _item(data_set: DataSet, form: Form) -> bytes:
    content = encoded(data_set, form)
    if form.undefined:
        return delimiter(ITEM, form, UNDEFINED) + content + delimiter(ITEM_END, form)
    return delimiter(ITEM, form, len(content)) + content


def delimiter(tag: int, form: Form, length: int = 0) -> bytes:
    """Return the header of an item or of a delimiter, which has no VR."""
    return struct.pack(form.order + "HHI", tag >> 16, tag & 0xFFFF, length)
