"""The steps of reading one image: the lease, the mark of an image in flight, and the question for its colour."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from batch_results import FILE, claimed

from db.ledger import Claimed
from imaging.facts import Facts
from imaging.kind import COLOUR, GREY, ImageKind
from imaging.remarks import Remarks
from worker.decoders.messages import Undecoded
from worker.fetching.files import Fetched
from worker.reading import ImageReader

GREY_KIND, COLOURED_KIND = ImageKind(samples=GREY), ImageKind(samples=COLOUR)

SPEC = SimpleNamespace(needs_neighbours=False)


class Steps:
    """A context, a prefetcher and results that note what they are asked for."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.slot = SimpleNamespace(is_cautious=lambda: False)
        self.model_set = SimpleNamespace(depends_on_colour=True, assign=self._assign, specs=("spec",))
        self.trial_reader = SimpleNamespace(read=lambda *_: self.events.append("read in another process"))

    def keep_lease(self, batch_id: str) -> None:
        """Renew the lease of the batch."""
        self.events.append(("lease", batch_id))

    def in_flight(self, _image: Claimed) -> AbstractContextManager[None]:
        """Mark the image as in flight."""
        return self._noted("in flight")

    def capture_errors(self, _image: Claimed, file: Fetched | None = None) -> AbstractContextManager[None]:
        """Begin to turn errors into outcomes."""
        self.events.append(("errors are captured", file is not None))
        return nullcontext()

    def take(self, _image: Claimed, progress: Any) -> Fetched:
        """Return what was retrieved from a store; renew the lease while waiting for it."""
        progress()
        self.events.append("retrieved")
        return FILE

    def _assign(self, _dicom_image: Any, source: str, kind: ImageKind) -> Any:
        return SimpleNamespace(refused={"from": source, "samples": kind.samples})

    def _noted(self, name: str) -> AbstractContextManager[None]:
        events = self.events

        class Noted(nullcontext[None]):
            def __enter__(self) -> None:
                events.append(f"{name} begins")

            def __exit__(self, *_: object) -> None:
                events.append(f"{name} ends")

        return Noted()


class StepReader(ImageReader):
    """A reader that notes instead of reading files and decoding frames."""

    def __init__(self, steps: Steps) -> None:
        super().__init__(steps, "batch", steps, steps)  # type: ignore[arg-type]
        self.steps = steps

    def _fetch(self, _image: Claimed) -> Fetched:
        self.steps.events.append("fetched")
        return FILE

    def prepare(self, _image: Claimed, _file: Fetched) -> Any:
        """Note that the image was prepared."""
        self.steps.events.append("prepared")
        return "prepared"


def test_a_file_is_fetched_and_prepared_while_its_image_is_in_flight() -> None:
    """Before that the lease of the batch is renewed; from the fetch on, the outcome knows the bytes."""
    steps = Steps()
    assert StepReader(steps)._read(claimed(1)) == "prepared"  # type: ignore[comparison-overlap]
    assert steps.events == [
        ("lease", "batch"),
        ("errors are captured", False),
        "in flight begins",
        "fetched",
        ("errors are captured", True),
        "prepared",
        "in flight ends",
    ]


def test_an_image_of_a_store_is_not_in_flight_while_it_is_retrieved() -> None:
    """A store that does not answer kills no process. The lease is renewed while the reader waits for it."""
    steps = Steps()
    StepReader(steps)._read(claimed(1, root="https://pacs/dicomweb"))
    assert steps.events == [
        ("lease", "batch"),
        ("errors are captured", False),
        ("lease", "batch"),
        "retrieved",
        "in flight begins",
        ("errors are captured", True),
        "prepared",
        "in flight ends",
    ]


def test_a_suspicious_image_is_read_in_another_process_before_it_is_in_flight() -> None:
    """What it does to that process becomes its outcome."""
    steps = Steps()
    StepReader(steps)._read(claimed(1, alone=True))
    assert steps.events[1:4] == [("errors are captured", False), "read in another process", "in flight begins"]


def reader_with(steps: Steps, answer: Any) -> StepReader:
    """Return a reader whose decoders give this answer for every image."""
    reader = StepReader(steps)
    reader._decode_ahead = SimpleNamespace(take=lambda *_: answer)  # type: ignore[assignment]
    return reader


@pytest.mark.parametrize(("answer", "trials"), [(Undecoded.SUSPICIOUS, 1), (Undecoded.NOT_PLAIN, 0)])
def test_an_image_that_killed_a_decoder_is_suspicious(answer: Undecoded, trials: int) -> None:
    """One that a decoder only left to the worker is not."""
    steps = Steps()
    reader_with(steps, answer)._read(claimed(1))
    assert steps.events.count("read in another process") == trials


def test_an_image_that_a_decoder_has_read_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is neither fetched nor in flight."""
    steps = Steps()
    reader = reader_with(steps, ("decoded", "arrays"))
    monkeypatch.setattr(reader, "_take_over", lambda image, *given: (image.work_id, *given))
    found: Any = reader._read(claimed(1))
    assert found == (1, "decoded", "arrays")
    assert steps.events == [("lease", "batch"), ("errors are captured", False)]


def test_a_file_that_was_opened_for_its_neighbours_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only that of another image is."""
    steps = Steps()
    reader = StepReader(steps)
    monkeypatch.setattr(reader._neighbours.opened, "file_of", {101: FILE}.get)
    reader._read(claimed(1))
    assert "fetched" not in steps.events
    reader._read(claimed(2))
    assert steps.events.count("fetched") == 1


def if_coloured(
    monkeypatch: pytest.MonkeyPatch,
    *,
    header: ImageKind = COLOURED_KIND,
    found: ImageKind = GREY_KIND,
    frames: int = 2,
    depends: bool = True,
) -> Any:
    """Return what asks for the refusals of an image whose header says `header`, and whose first frame is `found`."""
    monkeypatch.setattr("worker.reading.read_kind", lambda _image: header)
    steps = Steps()
    steps.model_set.depends_on_colour = depends
    dicom_image: Any = SimpleNamespace(frame_count=frames)
    return StepReader(steps)._if_coloured(claimed(1, origin="ward"), dicom_image, found)


def test_a_later_frame_may_show_that_an_image_is_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the refusals are those of the coloured image of the same source."""
    ask = if_coloured(monkeypatch)
    assert ask() == {"from": "ward", "samples": COLOUR}


@pytest.mark.parametrize(
    "known",
    [{"found": ImageKind(samples=COLOUR, rows=1)}, {"header": GREY_KIND}, {"frames": 1}, {"depends": False}],
    ids=str,
)
def test_an_image_whose_colour_is_known_is_not_asked_for_it(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, Any]
) -> None:
    """It is coloured, or grey by its header; it has no later frame; or no model depends on the colour."""
    assert if_coloured(monkeypatch, **known) is None


class Prepared:
    """An image of some frames, of which two fit into a chunk; its network input has 40 bytes per frame."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        frames: int,
        *,
        models: int = 1,
        any_domain: bool = False,
        uid: str | None = "1.2",
        geometry: bool = False,
    ) -> None:
        """Read it, with one target per model. `geometry`: whether a model of series matches."""
        self.remarks = Remarks()
        self.kept: list[Any] = []
        self.decoded: list[int] = []
        self.facts_kept: list[Facts] = []
        self.image: Any = SimpleNamespace(
            frame_count=frames, facts=Facts(sop_instance_uid=uid), remarks=self.remarks, elements="elements"
        )
        assignment: Any = ((), (SPEC,), (("one@1", 0),) * models, 40, {})
        context: Any = SimpleNamespace(
            settings=SimpleNamespace(any_domain=any_domain),
            keep_lease=lambda _batch: None,
            in_flight=lambda _image: nullcontext(),
            former_contents=SimpleNamespace(identified=lambda file: replace(file, content="e" * 64)),
            model_set=SimpleNamespace(
                assign=lambda *_: assignment, depends_on_colour=False, needs_geometry=lambda _: geometry, models={}
            ),
        )
        functions = {
            "open_dicom_image": lambda *_: self.image,
            "kind_of": lambda *_: GREY_KIND,
            "frames_per_chunk": {40: 2}.get,
            "decode_in_chunks": self._chunks,
            "geometry_text": lambda elements, frame_count: f"{elements} of {frame_count}",
        }
        for name, function in functions.items():
            monkeypatch.setattr(f"worker.reading.{name}", function)
        results: Any = SimpleNamespace(
            keep_header=lambda image, header: self.kept.append((image.work_id, header)),
            keep_facts=lambda _image, facts, _annotations: self.facts_kept.append(facts),
        )
        reader = ImageReader(context, "batch", None, results)  # type: ignore[arg-type]
        self.result = reader.prepare(claimed(7), FILE)

    def _chunks(self, image: Any, specs: Any, _context: Any, *, chunk_frames: int, notes: Any) -> Iterator[Any]:
        assert (image, specs, notes.refused) == (self.image, (SPEC,), {})
        for begin in range(0, image.frame_count, chunk_frames):
            self.decoded.append(begin)
            yield (f"chunk {begin}",)


@pytest.mark.parametrize(
    ("frames", "models", "decoded", "held_bytes"), [(1, 1, [0], 40), (2, 1, [0], 80), (3, 1, [], 0), (2, 0, [], 0)]
)
def test_frames_that_fit_into_a_chunk_are_decoded_at_once(
    monkeypatch: pytest.MonkeyPatch, frames: int, models: int, decoded: list[int], held_bytes: int
) -> None:
    """More frames are decoded during prediction, and those of an image that no model takes never."""
    read = Prepared(monkeypatch, frames, models=models)
    assert (read.decoded, read.result.held_bytes) == (decoded, held_bytes)
    chunks: list[Any] = list(read.result.chunks)
    assert chunks == [(f"chunk {begin}",) for begin in range(0, frames, 2)]
    assert read.kept == [(7, read.image)]


@pytest.mark.parametrize(("any_domain", "words"), [(True, "any_domain"), (False, None)])
def test_a_result_without_the_domain_check_says_so(
    monkeypatch: pytest.MonkeyPatch, words: str | None, *, any_domain: bool
) -> None:
    """Only the setting `any_domain` adds the remark."""
    read = Prepared(monkeypatch, 1, any_domain=any_domain)
    assert read.result.parsed.remarks.words == words


@pytest.mark.parametrize(("uid", "content"), [("1.2", FILE.content), (None, "e" * 64)], ids=["UID", "no UID"])
def test_only_a_file_without_a_uid_is_looked_up_by_its_former_digest(
    monkeypatch: pytest.MonkeyPatch, uid: str | None, content: str
) -> None:
    """Images with a UID are looked up together, once for each part."""
    assert Prepared(monkeypatch, 1, uid=uid).result.parsed.file.content == content


@pytest.mark.parametrize(("geometry", "text"), [(True, "elements of 3"), (False, None)])
def test_the_place_of_a_slice_is_kept_for_models_of_series(
    monkeypatch: pytest.MonkeyPatch, text: str | None, *, geometry: bool
) -> None:
    """No other model needs it, so it is not stored for them."""
    read = Prepared(monkeypatch, 3, geometry=geometry)
    assert read.result.parsed.facts.geometry == text
    assert [facts.geometry for facts in read.facts_kept] == ([text] if geometry else [])
