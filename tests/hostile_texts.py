"""Texts that a sender could write into a header, a file name or an answer, to deceive the people who read them."""

import re

ESCAPES = "\x1b[31m\x1b]0;owned\x07\x1b[2J"
"""Recolours a terminal, renames its window and clears it."""
HOSTILE = {
    "C0": f"a{ESCAPES}\x00\x08\rz",
    "DEL and C1": "a\x7f\x9b31m\x85z",
    "second line": "a\nerror: forged\x0b\x0c\u2028b\u2029z",
    "direction": "a\u202etxt.exe\u202c\u2066\u2067\u2068\u2069\u202a\u202b\u202dz",
    "invisible": "a\u200b\u2060\ufeff\U000e0041z",
    "lone surrogate": "a\udcffz",
    "markup": "a[/red][bold]b[link=http://x]c[/]z",
    "broken markup": "1.2[/red]",
}
ALL = "".join(HOSTILE.values())
"""One text with everything, for quick tests; slow tests try each text alone."""
UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""No output may hold one of these; a line feed ends its lines."""
