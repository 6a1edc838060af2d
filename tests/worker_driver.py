"""Drive a worker by hand, with a fake network, a real database and real files."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from ledger_driver import LedgerDriver
from numpy.typing import NDArray
from redis import Redis

from db.ledger import Batch
from imaging.limits import Limits
from imaging.patient import PatientHasher
from models.catalogue import find_bundle
from models.routing import Rule, Rules
from nightread.reasons import Reason
from nightread.settings import Settings, load_settings
from producer.folders.folder import Folder
from producer.folders.intake import Intake
from worker import decode
from worker.analyse import analyse
from worker.context import WorkerContext
from worker.inference.model_set import LoadedModel, ModelSet
from worker.inference.predictor import Predictor

Array = NDArray[np.float32]
SHIPPED = find_bundle("phantom", ())
REASONS = frozenset(Reason)
BUNDLE = replace(SHIPPED, postprocessing=replace(SHIPPED.postprocessing, temperature=1), domain=None)
"""The shipped bundle for every image, without calibration, so that scores are recorded as the network returns them."""


def constant_scores(inputs: Array) -> Array:
    """Return the same scores for every frame."""
    return np.tile(np.array([[0.75, 0.25]], np.float32), (len(inputs), 1))


@dataclass
class FakeNetwork:
    """A network that returns the scores that a test sets."""

    runtime = "fake 1.0"
    answer: Callable[[Array], Array] = constant_scores

    def batch_scores(self, inputs: Array) -> Array:
        """Return the scores of the function `answer`."""
        return self.answer(inputs)


@dataclass(kw_only=True)
class WorkerDriver:
    """One worker process with one inbox and one database."""

    ledger_driver: LedgerDriver
    folder: Path
    redis_url: str
    bundle_id: int
    network: FakeNetwork = field(default_factory=FakeNetwork)

    def __post_init__(self) -> None:
        self.inbox = self.folder / "inbox"
        self.inbox.mkdir()

    def settings(self, **options: Any) -> Settings:
        """Return settings with two attempts per image, and with the options that a test names."""
        return load_settings(None, **{"state_dir": self.folder / "state", "retry_limit": 2, **options})

    def context(
        self, *, largest: int = 64, with_model: bool = True, model_set: ModelSet | None = None, **options: Any
    ) -> WorkerContext:
        """Return a context whose one network analyses every image, unless the test passes a model set."""
        decode._install_alarm_handler.cache_clear()  # pytest-timeout uses the same signal
        settings = self.settings(**options)
        return WorkerContext(
            settings=settings,
            database=self.ledger_driver.database,
            redis=Redis.from_url(self.redis_url),
            process=self.ledger_driver.process,
            limits=Limits(
                file_bytes=settings.max_file_bytes,
                frame_pixels=settings.max_frame_pixels,
                object_bytes=settings.max_object_bytes,
            ),
            patient=PatientHasher(b"a key for tests"),
            model_set=model_set or (self.model_set(largest) if with_model else ModelSet(Rules([]), {})),
            clock=self.ledger_driver.clock,
        )

    def model_set(self, largest: int) -> ModelSet:
        """Return a model set whose one network analyses every image, as with --model."""
        model = LoadedModel(predictor=Predictor(BUNDLE, self.network, largest=largest), bundle_id=self.bundle_id)
        return ModelSet(Rules([Rule(bundle=BUNDLE.reference)]), {BUNDLE.reference: model})

    def put(self, **contents: bytes) -> None:
        """Write files, named by keyword, and register them in this order."""
        for name, content in contents.items():
            (self.inbox / name).write_bytes(content)
            self.register()

    def register(self) -> None:
        """Register the files of the inbox."""
        settings = self.settings()
        folder = Folder.from_path(self.inbox, settings)
        Intake(settings, self.ledger_driver.database, folder, lambda _: None, name="inbox").register_all()

    def form(self, images: int = 64) -> list[Batch]:
        """Form batches of all images that are due now."""
        return self.ledger_driver.form(images=images)

    def analyse(self, context: WorkerContext) -> dict[str, int]:
        """Analyse all images that are due within ten minutes, and return the number of images by state.

        The reasons why images have no result, which the result of a batch has too, are left out.
        """
        self.ledger_driver.clock.advance(minutes=10)
        total: dict[str, int] = {}
        for batch in self.form():
            for state, images in analyse(context, batch.id).counts.items():
                if state not in REASONS:
                    total[state] = total.get(state, 0) + images
        return total

    def outcomes(self) -> dict[str, tuple[str, str | None]]:
        """Return state and reason by file name."""
        uris = {row.id: row.uri for row in self.ledger_driver.instances()}
        return {uris[row.instance_id]: (row.state, row.reason) for row in self.ledger_driver.work()}
