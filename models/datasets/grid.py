"""A picture of what a network is shown: some images of each label."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.datasets.dataset import Dataset, Examples
from nightread.errors import RejectImage

COLUMNS = 10
"""Pictures side by side, at most."""
_NARROWEST = 3
"""Pictures that a block is wide at least, so that its heading fits."""
_PICTURE, _SPACE, _GAP, _MARGIN, _HEADING, _TITLE = 1.10, 0.05, 0.35, 0.15, 0.42, 0.50
"""Inches."""
_TITLE_LETTERS = 8.0
"""That fit on an inch; of a long path the end tells most."""
_INK, _FAINT = "#222222", "#777777"


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Prepared images of one label."""

    label: str
    images_with: int
    """How many the whole part has."""
    pictures: NDArray[np.float32]
    """(n, height, width, channels), dark 0 to bright 1."""
    also: tuple[str, ...]
    """The other labels of each picture; empty where there are none."""


def draw_samples(dataset: Dataset, part: Examples, *, count: int, seed: int) -> tuple[Samples, ...]:
    """As many images of each label as of any other, `count` in all or a few more; of each its middle frame.

    An image that cannot be decoded is left out. Raises RetryImage for a file that is gone.
    """
    rng = np.random.default_rng(seed)
    each = max(-(-count // len(dataset.labels)), 1)
    return tuple(_samples(dataset, part, number, each, rng) for number in range(len(dataset.labels)))


def write_grid(samples: Sequence[Samples], file: Path, *, title: str, subtitle: str) -> None:
    """A PNG file with a heading and a block of pictures for each label. Raises OSError."""
    page = _Page.for_samples(samples)
    figure = page.figure()
    room = int((page.width - 2 * _MARGIN) * _TITLE_LETTERS)
    shown = title if len(title) <= room else f"…{title[1 - room :]}"
    page.write(figure, page.left(0), page.height - 0.16, shown, fontsize=12, weight="bold", color=_INK, va="top")
    page.write(figure, page.left(0), page.height - 0.38, subtitle, fontsize=8, color=_FAINT, va="top")
    for number, sample in enumerate(samples):
        _draw_block(figure, page, number, sample)
    figure.savefig(file, format="png")


@dataclass(frozen=True, kw_only=True)
class _Page:
    """Where things go, in inches from the bottom left corner: blocks of one size, several side by side if they fit."""

    columns: int
    """Pictures per row of a block."""
    rows: int
    across: int
    """Blocks side by side."""
    bands: int
    """Blocks on top of each other."""

    @classmethod
    def for_samples(cls, samples: Sequence[Samples]) -> Self:
        most = max(len(sample.pictures) for sample in samples)
        columns = min(COLUMNS, max(most, _NARROWEST))
        across = min(COLUMNS // columns, len(samples))
        rows = max(-(-most // columns), 1)
        return cls(columns=columns, rows=rows, across=across, bands=-(-len(samples) // across))

    @property
    def block_width(self) -> float:
        return self.columns * (_PICTURE + _SPACE) - _SPACE

    @property
    def band_height(self) -> float:
        return _HEADING + self.rows * (_PICTURE + _SPACE)

    @property
    def width(self) -> float:
        return max(self.across * (self.block_width + _GAP) - _GAP, 5.0) + 2 * _MARGIN

    @property
    def height(self) -> float:
        return _TITLE + self.bands * self.band_height + _MARGIN

    def left(self, block: int) -> float:
        """Of a block."""
        return _MARGIN + block % self.across * (self.block_width + _GAP)

    def top(self, block: int) -> float:
        """Of a block."""
        return self.height - _TITLE - block // self.across * self.band_height

    def figure(self) -> Any:
        from matplotlib.figure import Figure  # noqa: PLC0415 - takes longer to import than most commands to run

        return Figure(figsize=(self.width, self.height), dpi=110, facecolor="white")

    def write(self, figure: Any, left: float, bottom: float, text: str, **how: Any) -> None:
        """Text is text: a dollar in a folder's name begins no formula."""
        figure.text(left / self.width, bottom / self.height, text, parse_math=False, **how)

    def picture_axes(self, figure: Any, block: int, index: int) -> Any:
        row, column = divmod(index, self.columns)
        left = self.left(block) + column * (_PICTURE + _SPACE)
        bottom = self.top(block) - _HEADING - row * (_PICTURE + _SPACE) - _PICTURE
        box = left / self.width, bottom / self.height, _PICTURE / self.width, _PICTURE / self.height
        return figure.add_axes(box, frame_on=False, xticks=[], yticks=[])


def _draw_block(figure: Any, page: _Page, block: int, sample: Samples) -> None:
    """Heading and pictures of one label."""
    left, line = page.left(block), page.top(block) - 0.30
    page.write(figure, left, line, sample.label, fontsize=10, weight="bold", color=_INK)
    told = f"{len(sample.pictures)} of {sample.images_with:,} images"
    page.write(figure, left + page.block_width, line, told, fontsize=8, color=_FAINT, ha="right")
    for index, (picture, also) in enumerate(zip(sample.pictures, sample.also, strict=True)):
        axes = page.picture_axes(figure, block, index)
        axes.imshow(picture.clip(0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        if also:
            ground = {"facecolor": "black", "alpha": 0.6, "pad": 1, "linewidth": 0}
            how = {"fontsize": 5, "color": "white", "bbox": ground, "parse_math": False}
            axes.text(0.03, 0.03, f"+ {also}", transform=axes.transAxes, **how)


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
        also=tuple(others),
    )


def _middle_frame(part: Examples, image: int, dataset: Dataset) -> NDArray[np.float32] | None:
    """Prepared (height, width, channels); None where its pixels cannot be decoded: the header tells too little."""
    first, last = (int(np.searchsorted(part.image_of, image, side)) for side in ("left", "right"))
    try:
        prepared = part.inputs([(first + last - 1) // 2], dataset.native_spec)
    except RejectImage:
        return None
    picture: NDArray[np.float32] = prepared[0]
    return picture
