"""Create mutation number N of a campaign. The same files, seed and number always give the same bytes."""

import random
from collections.abc import Callable
from typing import NamedTuple

from fuzz import byte_mutations, header_mutations, pixel_mutations
from fuzz.file_layout import FileLayout, layout_of
from fuzz.seeds import Seed

Change = Callable[[bytearray, FileLayout, random.Random], None]

ANYWHERE: tuple[Change, ...] = (
    byte_mutations.flip_bits,
    byte_mutations.overwrite_bytes,
    byte_mutations.insert_bytes,
    byte_mutations.delete_bytes,
    byte_mutations.repeat_bytes,
    byte_mutations.truncate,
)
IN_HEADER: tuple[Change, ...] = (
    header_mutations.change_length,
    header_mutations.change_vr,
    header_mutations.set_extreme_value,
    header_mutations.set_extreme_value,
    header_mutations.set_extreme_value,
    header_mutations.fill_value,
    header_mutations.delete_element,
    header_mutations.repeat_element,
    header_mutations.swap_elements,
    header_mutations.insert_nested_sequences,
    header_mutations.change_syntax,
)
IN_PIXELS: tuple[Change, ...] = (
    pixel_mutations.change_item_length,
    pixel_mutations.change_offset_table,
    pixel_mutations.change_stream_header,
    pixel_mutations.change_stream_header,
    pixel_mutations.change_stream_header,
    pixel_mutations.change_stream_middle,
    pixel_mutations.cut_stream,
    pixel_mutations.swap_items,
)


class Mutation(NamedTuple):
    """A mutated file, and the changes that were made."""

    number: int
    data: bytes
    what: str


def mutation(files: tuple[Seed, ...], seed: int, number: int) -> Mutation:
    """Make one to three changes to one file; one mutation in twenty joins the start and the end of two files."""
    rng = random.Random(f"{seed}/{number}")
    chosen = rng.choice(files)
    if rng.random() < 0.05:
        other = rng.choice(files)
        data = byte_mutations.spliced(chosen.data, other.data, rng)
        return Mutation(number, data, f"{chosen.name}: spliced with {other.name}")
    layout = layout_of(chosen)
    body = bytearray(layout.body)
    names = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        change = rng.choice(_possible(layout, rng))
        change(body, layout, rng)
        names.append(change.__name__)
    data = layout.file(bytes(body))
    if layout.deflated and rng.random() < 0.3:
        packed = bytearray(data)
        byte_mutations.flip_bits(packed, layout, rng)
        data = bytes(packed)
    return Mutation(number, data, f"{chosen.name}: {', '.join(names)}")


def _possible(layout: FileLayout, rng: random.Random) -> tuple[Change, ...]:
    """Choose the kind of change: at any byte, or, twice as often each, in the header or in the pixels if they exist."""
    kinds = [ANYWHERE]
    if layout.parts:
        kinds += [IN_HEADER] * 2
    if layout.fragments:
        kinds += [IN_PIXELS] * 2
    return rng.choice(kinds)
