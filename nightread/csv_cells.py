"""Write text into CSV files so that no spreadsheet program treats a cell as a formula."""

import re

from nightread.plain_text import visible

_FORMULA = r"=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
"""First characters of formulas. Spreadsheet programs treat the full-width and small forms of these characters in the
same way."""
_BEFORE = r"""[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"'`\u2018-\u201f]*"""
"""Pattern of the characters before a formula that spreadsheet programs drop, such as spaces and quotes."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_BEGINS_LIKE_A_FORMULA = re.compile(rf"{_BEFORE}[{_FORMULA}]|[\t\r\n]")
_FORMULA_AFTER_SEMICOLON = re.compile(rf"(;)(?={_BEFORE}[{_FORMULA}])")


def csv_cell(value: object) -> object:
    """Return the value of one cell. Text that could be a formula gets an apostrophe in front; numbers stay numbers.

    In countries with a decimal comma, spreadsheet programs separate cells at semicolons, so the text after each
    semicolon gets an apostrophe too. Control characters are shown as escapes.
    """
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    begins_like_one = _BEGINS_LIKE_A_FORMULA.match(value)
    text = _FORMULA_AFTER_SEMICOLON.sub(r"\1'", visible(value))
    return f"'{text}" if begins_like_one else text
