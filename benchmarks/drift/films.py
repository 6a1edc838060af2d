"""Make studies of synthetic chest films from a few scanners, and analyse them as a worker does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imaging.dicom_image import Frame
from imaging.grayscale import Grayscale
from imaging.prepare import prepare
from imaging.voi import Ramp
from models.catalogue import find_bundle
from models.drift_values import levels_of
from models.phantoms.phantom import draw
from models.runtimes.load import load_network
from nightread.drift.levels import pack
from nightread.drift.measures import DriftMeasures, HeaderValues, ResultValues
from nightread.drift.reference import Stratum

_SIZE = 128
"""Films are drawn in the size of the network's input, which is fastest. Their headers state the size of the scanner."""
_WHITE = 4095
_CHUNK = 64


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """One device: the values in its headers, and the look of its pictures."""

    model: str
    rows: int
    spacing: float
    photometric: str = "MONOCHROME2"
    gamma: float = 1.0
    noise: float = 0.0
    window: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest value of the window in its headers, as shares of the range of its pixels."""
    is_inverted: bool = False
    """Whether its pictures are shown with black and white exchanged."""


SCANNERS = (
    Scanner(model="Alpha", rows=2022, spacing=0.175, photometric="MONOCHROME1"),
    Scanner(model="Beta", rows=3056, spacing=0.139, gamma=1.1, noise=0.01),
    Scanner(model="Gamma", rows=2520, spacing=0.168, gamma=0.92, noise=0.015, window=(0.02, 0.97)),
)
INVERTED = replace(SCANNERS[0], is_inverted=True)
OTHER_WINDOW = replace(SCANNERS[1], window=(0.15, 0.85))
NEW_SCANNER = Scanner(model="Delta", rows=4280, spacing=0.1, gamma=1.25, noise=0.03, window=(0.03, 1.0))


@dataclass(frozen=True, kw_only=True)
class Studies:
    """Analysed studies of one to four films: a population from which nights are drawn."""

    measures: DriftMeasures
    codes: dict[str, NDArray[np.uint8]]
    """By name of the measure, (films,): the bin of each film."""
    study: NDArray[np.int64]
    """(films,): the number of each film's study."""
    scanner: NDArray[np.int64]
    """(studies,): the position of each study's scanner in `scanners`."""
    has_nodule: NDArray[np.bool_]
    """(studies,): whether the films of the study have nodules."""
    scanners: tuple[Scanner, ...]

    def stratum(self, film: int) -> Stratum:
        """Return the stratum of a film."""
        return Stratum("DX", self.scanners[self.scanner[self.study[film]]].model, "PA", "")


def make_studies(scanners: Sequence[Scanner], count: int, *, seed: int) -> Studies:
    """Draw `count` studies, half of them with nodules, and analyse their films with the shipped phantom network."""
    rng = np.random.default_rng(seed)
    films = rng.integers(1, 5, count)
    has_nodule, scanner = rng.random(count) < 0.5, rng.integers(0, len(scanners), count)
    exposure = rng.uniform(0.9, 1.05, count)
    study = np.repeat(np.arange(count), films)
    frames = (
        _frame(scanners[scanner[own]], seed, number, nodule=bool(has_nodule[own]), exposure=float(exposure[own]))
        for number, own in enumerate(study)
    )
    measures, codes = _analysed(frames, [scanners[scanner[own]] for own in study])
    return Studies(
        measures=measures,
        codes=codes,
        study=study,
        scanner=scanner,
        has_nodule=has_nodule,
        scanners=tuple(scanners),
    )


def _frame(scanner: Scanner, seed: int, number: int, *, nodule: bool, exposure: float) -> Frame:
    film = draw(seed=seed, index=number, size=_SIZE, nodule_share=float(nodule)).pixels
    rng = np.random.default_rng([seed, number, 3])
    shown = np.clip(film * exposure, 0, 1) ** scanner.gamma + scanner.noise * rng.standard_normal(film.shape)
    shown = 1 - shown if scanner.is_inverted else shown
    is_monochrome1 = scanner.photometric == "MONOCHROME1"
    stored = np.rint(np.clip(1 - shown if is_monochrome1 else shown, 0, 1) * _WHITE).astype(np.uint16)
    low, high = (_WHITE * share for share in scanner.window)
    return Frame(
        index=0,
        stored=stored,
        bits_stored=12,
        grayscale=Grayscale(voi=Ramp(low=low, high=high)),
        inverted=is_monochrome1,
    )


def _analysed(
    frames: Iterator[Frame], scanners: Sequence[Scanner]
) -> tuple[DriftMeasures, dict[str, NDArray[np.uint8]]]:
    bundle = find_bundle("phantom", ())
    network = load_network(bundle)
    inputs = np.empty((len(scanners), *bundle.spec.shape), np.float32)
    for frame, out in zip(frames, inputs, strict=True):
        prepare(frame, bundle.spec, out=out)
    results = []
    for begin in range(0, len(inputs), _CHUNK):
        results += bundle.postprocessing.image_results(network.batch_scores(inputs[begin : begin + _CHUNK]))
    found = [result for result in results if result is not None]
    measures = DriftMeasures(labels=bundle.labels, normal_label=bundle.postprocessing.normal_label)
    values = ResultValues(
        labels=[result.label for result in found],
        scores=np.array([result.scores for result in found]),
        intensities=pack(levels_of(inputs, bundle.spec)),
    )
    headers = HeaderValues(
        sizes=[(scanner.rows, scanner.rows) for scanner in scanners],
        photometric=[scanner.photometric for scanner in scanners],
        spacings=[scanner.spacing for scanner in scanners],
    )
    return measures, dict(measures.codes(values, headers))
