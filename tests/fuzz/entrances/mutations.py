"""Mutate bytes, texts and JSON values, most often in places where a program could trust them."""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

from fuzz import byte_mutations
from fuzz.file_layout import FileLayout

_NO_LAYOUT = cast("FileLayout", None)
_BYTE_CHANGES: Sequence[Callable[[bytearray, FileLayout, random.Random], None]] = (
    byte_mutations.flip_bits,
    byte_mutations.overwrite_bytes,
    byte_mutations.insert_bytes,
    byte_mutations.delete_bytes,
    byte_mutations.repeat_bytes,
    byte_mutations.truncate,
)
_RAW = {
    "@infinite": b"1e999",
    "@minus": b"-1e999",
    "@nan": b"NaN",
    "@digits": b"9" * 5000,
    "@negative": b"-1",
    "@deep": b"[" * 3000,
    "@nested": b"[" * 500 + b"]" * 500,
    "@half": b'"\\ud800"',
}
"""What `json.dumps` does not write, by the text that stands for it."""
ODD_TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "1e999",
    "NaN",
    "1" * 25,
    "9" * 5000,
    "x" * 5000,
    "../../etc/passwd",
    "..",
    "a\0b",
    "\x1b[31m",
    "a\nb",
    "\u202etxt",
    "\ud800",
    "\u0663",
    "[/red]",
    "=HYPERLINK(1)",
    "' OR 1=1 --",
    "%2e%2e",
)
_ODD_VALUES: Sequence[Any] = (
    *ODD_TEXTS,
    *_RAW,
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**63,
    10**24,
    1.5,
    1e300,
    [],
    {},
    [[]],
    [None],
    {"": None},
)
_TOKENS = re.compile(r"\w+|\s+|.", re.DOTALL)
_Place = tuple[Any, Any]


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Change bytes at one to three places."""
    body = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice(_BYTE_CHANGES)(body, _NO_LAYOUT, rng)
    return bytes(body)


def mutated_text(text: str, rng: random.Random, odd: Sequence[str] = ODD_TEXTS) -> bytes:
    """Replace, remove, repeat or swap words and signs; sometimes change bytes instead."""
    if rng.random() < 0.2:
        return mutated_bytes(text.encode(), rng)
    tokens = _TOKENS.findall(text)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, other = rng.randrange(len(tokens)), rng.randrange(len(tokens))
        change = rng.randrange(5)
        if change == 0:
            tokens[at], tokens[other] = tokens[other], tokens[at]
        else:
            tokens[at] = ("", rng.choice(odd), tokens[at] * rng.choice((2, 50)), tokens[other])[change - 1]
    return "".join(tokens).encode("utf-8", "surrogatepass")


def mutated_json(document: Any, rng: random.Random) -> bytes:
    """Change one to six values, names or lists of a JSON document; sometimes bytes of its text as well."""
    changed = [json.loads(json.dumps(document))]
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        _change(changed, rng)
    data = json.dumps(changed[0], ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    for name, raw in _RAW.items():
        data = data.replace(f'"{name}"'.encode(), raw)
    return mutated_bytes(data, rng) if rng.random() < 0.2 else data


def _change(root: list[Any], rng: random.Random) -> None:
    """Change one place; `root` is a list whose only entry is the document."""
    places = _places(root)
    holder, key = rng.choice(places)
    change = rng.randrange(6)
    if change <= 1:
        holder[key] = rng.choice(_ODD_VALUES)
    elif change == 2 and holder is not root:
        del holder[key]
    elif change == 3:
        holder[key] = [holder[key]] * rng.choice((1, 2, 40))
    elif change == 4 and isinstance(holder, dict):
        holder[rng.choice(ODD_TEXTS)] = holder.pop(key)
    else:
        other, other_key = rng.choice(places)
        holder[key] = json.loads(json.dumps(other[other_key]))


def _places(root: list[Any]) -> list[_Place]:
    """Return each place of the document, as the dictionary or list that holds it and the key or index."""
    found: list[_Place] = []
    waiting: list[Any] = [root]
    while waiting and len(found) < 2000:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], (dict, list)):
                waiting.append(holder[key])
    return found
