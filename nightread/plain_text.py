"""Make text from outside harmless: for people, for log lines and for the text columns of the database."""

import re

_C0 = r"\x00-\x1f"
_OTHERS = (
    r"\x7f-\x9f"  # DEL and C1: like C0, they control a terminal
    r"\u2028\u2029"  # separators of lines and paragraphs
    r"\u202a-\u202e\u2066-\u2069"  # they change the order in which letters are shown
    r"\u00ad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U0001d173-\U0001d17a"  # invisible
    r"\U000e0000-\U000e007f"  # invisible too: two names could look alike
    r"\ud800-\udfff"  # lone surrogates: no encoding can write them
)
_UNSAFE = re.compile(f"[{_C0}{_OTHERS}]")
_UNSAFE_IN_JSON = re.compile(f"[{_OTHERS}]")
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
_BYTE, _WORD = 0xFF, 0xFFFF
_UID = re.compile(r"[0-9.]{1,64}")


def visible(text: str) -> str:
    r"""Return one line of text in which each unsafe character is shown as an escape: `\n`, `\x1b` or `\u202e`.

    Control characters, line and paragraph separators, characters that change the direction of the text, invisible
    characters, and lone surrogates are unsafe. Letters of all languages, spaces and backslashes stay as they are.
    """
    return text if text.isprintable() else _UNSAFE.sub(_escape, text)


def safe_json(document: str) -> str:
    """Return a JSON document with the same value, in which unsafe characters are written as JSON escapes.

    C0 control characters are not changed: json.dumps has escaped those within texts, and the others separate lines.
    """
    return document if document.isascii() and "\x7f" not in document else _UNSAFE_IN_JSON.sub(_json_escape, document)


def is_uid(text: str) -> bool:
    """Return whether the text has only the characters and the length of a UID (DICOM PS3.5, section 9.1)."""
    return _UID.fullmatch(text) is not None


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code <= _BYTE:
        return _SHORT.get(found[0]) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _WORD else f"\\U{code:08x}"


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
