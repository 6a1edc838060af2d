"""Draw sample images of each label as a network sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.datasets.dataset import Dataset, Examples
from nightread.errors import RejectImage
from nightread.plain_text import visible

COLUMNS = 10
"""The largest number of pictures side by side."""
_MIN_COLUMNS = 3
"""The smallest width of a block in pictures, so that its heading fits."""
_PICTURE, _SPACE, _GAP, _MARGIN, _HEADING, _TITLE = 1.10, 0.05, 0.35, 0.15, 0.42, 0.50
"""Lengths in inches."""
_TITLE_CHARACTERS_PER_INCH = 8.0
"""How many characters of the title fit into one inch."""
_INK, _FAINT = "#222222", "#777777"


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Prepared sample images of one label."""

    label: str
    images_with: int
    """The number of images with this label in the complete part."""
    pictures: NDArray[np.float32]
    """(n, height, width, channels), from 0 (dark) to 1 (bright)."""
    other_labels: tuple[str, ...]
    """The other labels of each picture as text; empty if there are none."""


def draw_samples(dataset: Dataset, part: Examples, *, count: int, seed: int) -> tuple[Samples, ...]:
    """Choose about `count` random images, the same number for each label, and return the middle frame of each image.

    Images that cannot be decoded are left out. Raises RetryImage if a file no longer exists.
    """
    rng = np.random.default_rng(seed)
    each = max(-(-count // len(dataset.labels)), 1)
    return tuple(_samples(dataset, part, number, each, rng) for number in range(len(dataset.labels)))


def write_grid(samples: Sequence[Samples], file: Path, *, title: str, subtitle: str) -> None:
    """Write a PNG file with a heading and a block of pictures for each label. Raises OSError."""
    page = _Page.for_samples(samples)
    figure = page.figure()
    capacity = int((page.width - 2 * _MARGIN) * _TITLE_CHARACTERS_PER_INCH)
    shown = title if len(title) <= capacity else f"…{title[1 - capacity :]}"  # the end of a long path says most
    page.write(figure, page.left(0), page.height - 0.16, shown, fontsize=12, weight="bold", color=_INK, va="top")
    page.write(figure, page.left(0), page.height - 0.38, subtitle, fontsize=8, color=_FAINT, va="top")
    for number, sample in enumerate(samples):
        _draw_block(figure, page, number, sample)
    figure.savefig(file, format="png")


@dataclass(frozen=True, kw_only=True)
class _Page:
    """The layout, in inches from the bottom left corner: blocks of one size, several side by side if they fit."""

    columns: int
    """The number of pictures per row of a block."""
    rows: int
    """The number of rows of pictures per block."""
    blocks_per_row: int
    """The number of blocks side by side."""
    block_rows: int
    """The number of rows of blocks."""

    @classmethod
    def for_samples(cls, samples: Sequence[Samples]) -> Self:
        most = max(len(sample.pictures) for sample in samples)
        columns = min(COLUMNS, max(most, _MIN_COLUMNS))
        blocks_per_row = min(COLUMNS // columns, len(samples))
        rows = max(-(-most // columns), 1)
        return cls(
            columns=columns, rows=rows, blocks_per_row=blocks_per_row, block_rows=-(-len(samples) // blocks_per_row)
        )

    @property
    def block_width(self) -> float:
        return self.columns * (_PICTURE + _SPACE) - _SPACE

    @property
    def block_height(self) -> float:
        return _HEADING + self.rows * (_PICTURE + _SPACE)

    @property
    def width(self) -> float:
        return max(self.blocks_per_row * (self.block_width + _GAP) - _GAP, 5.0) + 2 * _MARGIN

    @property
    def height(self) -> float:
        return _TITLE + self.block_rows * self.block_height + _MARGIN

    def left(self, block: int) -> float:
        """Return the left edge of a block."""
        return _MARGIN + block % self.blocks_per_row * (self.block_width + _GAP)

    def top(self, block: int) -> float:
        """Return the top edge of a block."""
        return self.height - _TITLE - block // self.blocks_per_row * self.block_height

    def figure(self) -> Any:
        from matplotlib.figure import Figure  # noqa: PLC0415 - the import takes longer than most commands

        return Figure(figsize=(self.width, self.height), dpi=110, facecolor="white")

    def write(self, figure: Any, left: float, bottom: float, text: str, **how: Any) -> None:
        """Write text literally: a dollar sign in the name of a folder must not start a formula."""
        figure.text(left / self.width, bottom / self.height, visible(text), parse_math=False, **how)

    def picture_axes(self, figure: Any, block: int, index: int) -> Any:
        row, column = divmod(index, self.columns)
        left = self.left(block) + column * (_PICTURE + _SPACE)
        bottom = self.top(block) - _HEADING - row * (_PICTURE + _SPACE) - _PICTURE
        box = left / self.width, bottom / self.height, _PICTURE / self.width, _PICTURE / self.height
        return figure.add_axes(box, frame_on=False, xticks=[], yticks=[])


def _draw_block(figure: Any, page: _Page, block: int, sample: Samples) -> None:
    """Draw the heading and the pictures of one label."""
    left, line = page.left(block), page.top(block) - 0.30
    page.write(figure, left, line, sample.label, fontsize=10, weight="bold", color=_INK)
    caption = f"{len(sample.pictures)} of {sample.images_with:,} images"
    page.write(figure, left + page.block_width, line, caption, fontsize=8, color=_FAINT, ha="right")
    for index, (picture, other_labels) in enumerate(zip(sample.pictures, sample.other_labels, strict=True)):
        axes = page.picture_axes(figure, block, index)
        axes.imshow(picture.clip(0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        if other_labels:
            ground = {"facecolor": "black", "alpha": 0.6, "pad": 1, "linewidth": 0}
            how = {"fontsize": 5, "color": "white", "bbox": ground, "parse_math": False}
            axes.text(0.03, 0.03, f"+ {visible(other_labels)}", transform=axes.transAxes, **how)


def _samples(dataset: Dataset, part: Examples, number: int, each: int, rng: np.random.Generator) -> Samples:
    having = np.flatnonzero(part.truth[:, number])
    chosen = np.sort(rng.choice(having, min(each, len(having)), replace=False)).tolist()
    drawn = {image: picture for image in chosen if (picture := _middle_frame(part, image, dataset)) is not None}
    others = [
        ", ".join(name for at, name in enumerate(dataset.labels) if part.truth[image, at] and at != number)
        for image in drawn
    ]
    return Samples(
        label=dataset.labels[number],
        images_with=len(having),
        pictures=np.array(list(drawn.values()), np.float32).reshape(-1, *dataset.native_spec.shape),
        other_labels=tuple(others),
    )


def _middle_frame(part: Examples, image: int, dataset: Dataset) -> NDArray[np.float32] | None:
    """Return the prepared frame (height, width, channels); None if its pixels cannot be decoded."""
    first, last = (int(np.searchsorted(part.image_of, image, side)) for side in ("left", "right"))
    try:
        prepared = part.inputs([(first + last - 1) // 2], dataset.native_spec)
    except RejectImage:
        return None
    picture: NDArray[np.float32] = prepared[0]
    return picture
