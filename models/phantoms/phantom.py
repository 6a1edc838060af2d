"""Draw synthetic chest films with known truth from a seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLEAR = "clear"
NODULE = "nodule"
FIELD_OF_VIEW_MM = 350.0

Image = NDArray[np.float32]

_LUNG_CENTRES = (-0.40, 0.40)
_LUNG_RADII = (0.30, 0.56)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesion:
    """A soft round shadow inside a lung. Position and radius are in pixels of the drawn image."""

    row: float
    column: float
    radius: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Phantom:
    """One drawn film and its truth."""

    pixels: Image
    """(size, size), 0 black .. 1 white as on a film viewer: bone is bright, lung is dark."""
    lesions: tuple[Lesion, ...]

    @property
    def label(self) -> str:
        """Return `nodule` if there is at least one lesion, else `clear`."""
        return NODULE if self.lesions else CLEAR


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pose:
    """The position of the body on the detector; detector coordinates are from -1 to 1."""

    angle: float
    shift: tuple[float, float]
    scale: float

    def body_grid(self, size: int) -> tuple[Image, Image]:
        """Return the body coordinates (across, down) of each pixel, each (size, size)."""
        axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / size) - 1
        x, y = axis[None, :] - np.float32(self.shift[0]), axis[:, None] - np.float32(self.shift[1])
        cosine, sine = np.float32(np.cos(self.angle) / self.scale), np.float32(np.sin(self.angle) / self.scale)
        return cosine * x + sine * y, cosine * y - sine * x

    def lesion(self, across: float, down: float, radius: float, size: int) -> Lesion:
        """Convert a disc from body coordinates to pixels of the detector."""
        cosine, sine = np.cos(self.angle) * self.scale, np.sin(self.angle) * self.scale
        x = cosine * across - sine * down + self.shift[0]
        y = sine * across + cosine * down + self.shift[1]
        return Lesion(
            row=float((y + 1) * size / 2 - 0.5),
            column=float((x + 1) * size / 2 - 0.5),
            radius=float(radius * self.scale * size / 2),
        )


def draw(*, seed: int, index: int, size: int = 256, nodule_share: float = 0.5) -> Phantom:
    """Draw film number `index` of the series `seed`: the same arguments give the same pixels.

    About `nodule_share` of the films have one to three lesions. Both classes have ribs and vessels inside the lungs,
    and shadows outside of the lungs that are as round and bright as a lesion, so that neither brightness nor roundness
    alone reveals the label.
    """
    rng = np.random.default_rng([seed, index])
    pose = _Pose(
        angle=rng.uniform(-0.10, 0.10),
        shift=(rng.uniform(-0.07, 0.07), rng.uniform(-0.07, 0.07)),
        scale=rng.uniform(0.90, 1.08),
    )
    across, down = pose.body_grid(size)
    film = _anatomy(rng, across, down)
    if rng.integers(2):
        _add_disc(film, across, down, _outside_lungs(rng), rng.uniform(0.05, 0.11), _contrast(rng))
    lesions = []
    if rng.random() < nodule_share:
        for _ in range(rng.integers(1, 4)):
            centre, radius = _inside_lungs(rng), rng.uniform(0.05, 0.11)
            _add_disc(film, across, down, centre, radius, _contrast(rng))
            lesions.append(pose.lesion(*centre, radius, size))
    detector = np.random.default_rng([seed, index, 2])  # a separate generator, so that lesions do not change the noise
    return Phantom(pixels=_expose(detector, film), lesions=tuple(lesions))


def _anatomy(rng: np.random.Generator, across: Image, down: Image) -> Image:
    """Draw the attenuation of a body without lesions."""
    body = _ellipse(across, down, (0.0, 0.15), (0.93, 1.25), 0.03)
    lungs = np.zeros_like(across)
    for centre in _LUNG_CENTRES:
        radii = (_LUNG_RADII[0] * rng.uniform(0.95, 1.05), _LUNG_RADII[1] * rng.uniform(0.95, 1.05))
        lungs += _ellipse(across, down, (centre, 0.0), radii, 0.06)
    film = np.float32(rng.uniform(0.55, 0.65)) * body - np.float32(rng.uniform(0.30, 0.38)) * lungs
    film += np.float32(rng.uniform(0.05, 0.10)) * _ribs(rng, across, down) * body
    film += np.float32(rng.uniform(0.15, 0.22)) * _spine(rng, across, down)
    film += np.float32(rng.uniform(0.10, 0.16)) * _ellipse(across, down, (0.12, 0.32), (0.26, 0.24), 0.15)
    for centre in _LUNG_CENTRES:
        _add_vessels(rng, film, across, down, centre)
    return film


def _ellipse(across: Image, down: Image, centre: tuple[float, float], radii: tuple[float, float], soft: float) -> Image:
    """Draw an ellipse: 1 inside, 0 outside; `soft` is the width of the edge as a share of the radius."""
    x: Image = (across - np.float32(centre[0])) * np.float32(1 / radii[0])
    y: Image = (down - np.float32(centre[1])) * np.float32(1 / radii[1])
    distance: Image = np.sqrt(x * x + y * y)
    beyond: Image = np.clip((distance - 1) * np.float32(1 / soft), np.float32(-30), np.float32(30))
    edge: Image = np.reciprocal(1 + np.exp(beyond))
    return edge


def _ribs(rng: np.random.Generator, across: Image, down: Image) -> Image:
    """Draw bright arcs that descend from the spine; the third power makes the arcs narrower than the gaps."""
    sag = np.float32(rng.uniform(0.35, 0.55))
    pairs = rng.uniform(6.0, 8.0)
    phase = (down - sag * np.square(across)) * np.float32(np.pi * pairs) + np.float32(rng.uniform(0, 2 * np.pi))
    wave: Image = (np.cos(phase) + 1) * np.float32(0.5)
    return wave * wave * wave


def _spine(rng: np.random.Generator, across: Image, down: Image) -> Image:
    bend = np.float32(rng.uniform(-0.04, 0.04))
    column: Image = np.exp(-np.square((across - bend * np.square(down)) * np.float32(1 / 0.13)))
    vertebrae: Image = 1 + np.float32(0.12) * np.cos(down * np.float32(rng.uniform(26, 34)))
    return column * vertebrae


def _add_vessels(rng: np.random.Generator, film: Image, across: Image, down: Image, centre: float) -> None:
    """Add straight streaks from the hilum outwards; the end of a bright streak looks like a small nodule."""
    root_across, root_down = np.float32(centre * 0.45), np.float32(rng.uniform(-0.1, 0.1))
    outward = 0.0 if centre > 0 else np.pi
    for _ in range(4):
        angle, length = outward + rng.uniform(-1.1, 1.1), np.float32(rng.uniform(0.25, 0.5))
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        along = (across - root_across) * cosine + (down - root_down) * sine
        beside = (down - root_down) * cosine - (across - root_across) * sine
        inside = _window(along, length)
        film += np.float32(rng.uniform(0.03, 0.09)) * inside * np.exp(-np.square(beside * np.float32(45)))


def _window(along: Image, length: np.float32) -> Image:
    """Return a window function: 1 in the middle of 0..length, falling smoothly to 0 at both ends."""
    return np.clip(4 * along * (length - along) / (length * length), 0, 1)


def _add_disc(
    film: Image, across: Image, down: Image, centre: tuple[float, float], radius: float, contrast: float
) -> None:
    film += np.float32(contrast) * _ellipse(across, down, centre, (radius, radius), 0.16)


def _contrast(rng: np.random.Generator) -> float:
    return rng.uniform(0.08, 0.20)


def _inside_lungs(rng: np.random.Generator) -> tuple[float, float]:
    """Choose a point in either lung, uniform over the inner 56 % of its area, so that the centre is in the lung."""
    angle, distance = rng.uniform(0, 2 * np.pi), 0.75 * np.sqrt(rng.random())
    lung = _LUNG_CENTRES[int(rng.integers(2))]
    return lung + float(np.cos(angle) * distance * _LUNG_RADII[0]), float(np.sin(angle) * distance * _LUNG_RADII[1])


def _outside_lungs(rng: np.random.Generator) -> tuple[float, float]:
    """Choose a point in the shoulders or in the abdomen."""
    side = float(rng.choice((-1, 1)))
    if rng.integers(2):
        return side * rng.uniform(0.40, 0.60), -rng.uniform(0.72, 0.80)
    return side * rng.uniform(0.10, 0.60), rng.uniform(0.74, 0.86)


def _expose(rng: np.random.Generator, film: Image) -> Image:
    """Apply exposure, contrast, gamma and noise of the detector, and clip the result to 0..1."""
    exposed: Image = np.clip(film * np.float32(rng.uniform(0.75, 1.10)) + np.float32(rng.uniform(0.02, 0.15)), 0, 1)
    exposed = np.power(exposed, np.float32(rng.uniform(0.85, 1.2)))
    exposed += np.float32(rng.uniform(0.008, 0.03)) * rng.standard_normal(film.shape, dtype=np.float32)
    return np.clip(exposed, 0, 1)
