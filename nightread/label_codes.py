"""Define the codes that standard terminologies have for the labels of a bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SCHEME_LENGTH, _VALUE_LENGTH, _MEANING_LENGTH = 16, 64, 64
_FIELDS = {"scheme", "value", "meaning"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelCode:
    """A code of a terminology, such as (27925004, SCT, "Nodule"): the elements of DICOM PS3.3, table 8.8-1."""

    scheme: str
    """Coding Scheme Designator (DICOM PS3.16, chapter 8), such as SCT, RADLEX, RADELEMENT or LN."""
    value: str
    """Code Value; Long Code Value if it has more than 16 characters."""
    meaning: str
    """Code Meaning."""

    def __post_init__(self) -> None:
        """Raise ValueError for values that no DICOM object may have."""
        for name, text, length in (
            ("scheme", self.scheme, _SCHEME_LENGTH),
            ("value", self.value, _VALUE_LENGTH),
            ("meaning", self.meaning, _MEANING_LENGTH),
        ):
            if not text or len(text) > length or text != text.strip() or "\\" in text or not text.isprintable():
                raise ValueError(
                    f"the {name} of a code must have 1 to {length} printable characters, no backslash and no space at "
                    "its ends"
                )
        if not (self.scheme + self.value).isascii():
            raise ValueError("scheme and value of a code must be ASCII")


LabelCodes = Mapping[str, tuple[LabelCode, ...]]
"""The codes of each label. Reports use the first code of a label, and list its other codes as equivalent."""


def label_codes_from_json(content: Any, labels: Sequence[str]) -> dict[str, tuple[LabelCode, ...]]:
    """Read `codes` of a bundle.json. Raises ValueError if it is invalid or names an unknown label."""
    if not isinstance(content, dict):
        raise ValueError("codes must be a JSON object with a list of codes for each label")  # noqa: TRY004
    unknown = content.keys() - set(labels)
    if unknown:
        raise ValueError(f"codes names unknown labels: {', '.join(sorted(unknown))}")
    return {label: tuple(map(_code, _listed(codes))) for label, codes in content.items()}


def label_codes_to_json(codes: LabelCodes) -> dict[str, list[dict[str, str]]]:
    """Return the content of `codes` in a bundle.json."""
    return {
        label: [{"scheme": code.scheme, "value": code.value, "meaning": code.meaning} for code in of_label]
        for label, of_label in codes.items()
    }


def _listed(codes: Any) -> list[Any]:
    if not isinstance(codes, list) or not codes:
        raise ValueError("each label in the field codes must have a list of at least one code")
    return codes


def _code(fields: Any) -> LabelCode:
    if not isinstance(fields, dict) or fields.keys() != _FIELDS or not all(isinstance(v, str) for v in fields.values()):
        raise ValueError("a code must be a JSON object with the texts scheme, value and meaning")
    return LabelCode(**fields)
