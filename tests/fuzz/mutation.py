"""Mutation number N of a campaign: the same bytes each time it is made from the same files."""

import random
from collections.abc import Callable
from typing import NamedTuple

from fuzz import codestreams, damage, headers
from fuzz.anatomy import Anatomy, anatomy_of
from fuzz.seeds import Seed

Change = Callable[[bytearray, Anatomy, random.Random], None]

ANYWHERE: tuple[Change, ...] = (
    damage.flip_bits,
    damage.overwrite_run,
    damage.insert_run,
    damage.delete_run,
    damage.repeat_run,
    damage.truncate,
)
IN_HEADER: tuple[Change, ...] = (
    headers.change_length,
    headers.change_vr,
    headers.set_extreme_value,
    headers.set_extreme_value,
    headers.set_extreme_value,
    headers.fill_value,
    headers.delete_element,
    headers.repeat_element,
    headers.swap_elements,
    headers.insert_nested_sequences,
    headers.change_syntax,
)
IN_PIXELS: tuple[Change, ...] = (
    codestreams.change_item_length,
    codestreams.change_offset_table,
    codestreams.change_stream_header,
    codestreams.change_stream_header,
    codestreams.change_stream_header,
    codestreams.change_stream_middle,
    codestreams.cut_stream,
    codestreams.swap_items,
)


class Mutation(NamedTuple):
    """A spoilt file, and what was done to it."""

    number: int
    data: bytes
    what: str


def mutation(files: tuple[Seed, ...], seed: int, number: int) -> Mutation:
    """One to three changes of one file; one time in twenty the head of one file and the tail of another."""
    rng = random.Random(f"{seed}/{number}")
    chosen = rng.choice(files)
    if rng.random() < 0.05:
        other = rng.choice(files)
        data = damage.spliced(chosen.data, other.data, rng)
        return Mutation(number, data, f"{chosen.name}: spliced with {other.name}")
    anatomy = anatomy_of(chosen)
    body = bytearray(anatomy.body)
    names = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        change = rng.choice(_possible(anatomy, rng))
        change(body, anatomy, rng)
        names.append(change.__name__)
    data = anatomy.file(bytes(body))
    if anatomy.deflated and rng.random() < 0.3:
        packed = bytearray(data)
        damage.flip_bits(packed, anatomy, rng)
        data = bytes(packed)
    return Mutation(number, data, f"{chosen.name}: {', '.join(names)}")


def _possible(anatomy: Anatomy, rng: random.Random) -> tuple[Change, ...]:
    """Any place, or one that the file has; headers are aimed at as often as pixels."""
    kinds = [ANYWHERE]
    if anatomy.parts:
        kinds += [IN_HEADER] * 2
    if anatomy.fragments:
        kinds += [IN_PIXELS] * 2
    return rng.choice(kinds)
