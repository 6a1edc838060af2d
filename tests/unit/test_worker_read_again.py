"""What a reader does beside reading: it takes over what a decoder read, reads a file again, and asks for neighbours."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from batch_results import FILE, claimed

from db.ledger import Claimed
from imaging.facts import Facts
from imaging.patient import PatientHasher
from imaging.remarks import Remarks
from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.reasons import Reason
from worker.decoders.messages import DecodedImage, Routing, encode_routing
from worker.fetching.files import Fetched
from worker.reading import ImageReader

FOLDER_IMAGE, STORE_IMAGE = claimed(1), claimed(2, root="https://pacs/dicomweb")
AGAIN = Fetched(data=b"scan", content="e" * 64, size=4, mtime_ns=7)


class Surroundings:
    """A context and results that note what they are asked for. `file` is what is fetched, or the error."""

    def __init__(self, file: Fetched | Exception = FILE, *, only_neighbours: bool = False, **models: Any) -> None:
        self.events: list[Any] = []
        self._file = file
        self.settings = SimpleNamespace(roots={"inbox": "/inbox"}, max_file_bytes=99)
        self.stores = SimpleNamespace(fetch=lambda image: self.fetched("store", image))
        self.patient = PatientHasher(b"a key for tests")
        self.former_contents = self
        self.decode_pool = "pool"
        self.model_set = SimpleNamespace(models=models, only_neighbours=only_neighbours)

    def keep_lease(self, batch_id: str) -> None:
        """Renew the lease of the batch."""
        self.events.append(("lease", batch_id))

    def fetched(self, place: str, image: Claimed) -> Fetched:
        """Return the file, or raise the error."""
        self.events.append((place, image.work_id))
        if isinstance(self._file, Exception):
            raise self._file
        return self._file

    def identified_again(self, image: Claimed, file: Fetched, read_again: Any) -> Fetched:
        """Read the file again, and give it another content."""
        assert file == FILE.without_data()
        assert read_again(image) is FILE
        return AGAIN

    @contextmanager
    def capture_errors(self, image: Claimed, file: Fetched) -> Iterator[None]:
        """Turn an error into an outcome."""
        try:
            yield
        except ImageError as error:
            self.events.append((image.work_id, file.content, error.reason))

    def keep_facts(self, image: Claimed, facts: Facts, annotations: Any) -> None:
        """Keep what the header says; the modality XX is that of a patient who opted out."""
        self.events.append(("facts", image.work_id, facts.patient_key, annotations))
        if facts.modality == "XX":
            raise RejectImage(Reason.OPTED_OUT)


def reader_of(surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> ImageReader:
    """Return a reader that fetches files from these surroundings."""

    def fetched(image: Claimed, *, roots: Any, max_bytes: int) -> Fetched:
        assert (roots, max_bytes) == ({"inbox": "/inbox"}, 99)
        return surroundings.fetched("folder", image)

    monkeypatch.setattr("worker.reading.fetch", fetched)
    return ImageReader(surroundings, "batch", None, surroundings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("image", "place"), [(FOLDER_IMAGE, "folder"), (STORE_IMAGE, "store")])
def test_a_file_is_read_again_from_where_it_lies(monkeypatch: pytest.MonkeyPatch, image: Claimed, place: str) -> None:
    """The lease is renewed before, since a store may be slow."""
    surroundings = Surroundings()
    assert reader_of(surroundings, monkeypatch).read_again(image) is FILE
    assert surroundings.events == [("lease", "batch"), (place, image.work_id)]


@pytest.mark.parametrize("image", [FOLDER_IMAGE, STORE_IMAGE])
def test_a_file_that_cannot_be_read_again_is_none(monkeypatch: pytest.MonkeyPatch, image: Claimed) -> None:
    """It is gone, or cannot be reached; the error is none of the image, whose bytes were read before."""
    surroundings = Surroundings(RetryImage(Reason.MISSING_FILE))
    assert reader_of(surroundings, monkeypatch).read_again(image) is None


def decoded(**facts: Any) -> DecodedImage:
    """Return what a decoder has read."""
    return DecodedImage(
        file=FILE.without_data(),
        facts=Facts(**facts),
        numbers=(("ward", "4711"), (None, None)),
        annotations="annotations",  # type: ignore[arg-type]
        routing=encode_routing(Routing((), (("one@1", 0),), {})),
        remarks=Remarks(),
        model_remarks={"one@1": Remarks()},
        shapes=(),
    )


@pytest.mark.parametrize(("uid", "content"), [("1.2", FILE.content), (None, AGAIN.content)], ids=["UID", "no UID"])
def test_only_a_file_without_a_uid_is_identified_by_its_former_digest(
    monkeypatch: pytest.MonkeyPatch, uid: str | None, content: str
) -> None:
    """The bytes must be read again for that. A file with a UID is looked up with the others of its part."""
    surroundings = Surroundings()
    taken = reader_of(surroundings, monkeypatch)._take_over(FOLDER_IMAGE, decoded(sop_instance_uid=uid), ())
    assert taken is not None
    assert taken.parsed.file.content == content
    assert (("folder", 1) in surroundings.events) is (uid is None)


def test_what_a_decoder_read_becomes_a_prepared_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of the patient are added here. The inputs are one chunk, of 4 bytes per value; without any, none."""
    surroundings = Surroundings()
    inputs: Any = (np.zeros((1, 2, 3, 1), np.float32), np.zeros((1, 5, 1, 1), np.float32))
    found = decoded(sop_instance_uid="1.2")
    taken = reader_of(surroundings, monkeypatch)._take_over(FOLDER_IMAGE, found, inputs)
    assert taken is not None
    key = surroundings.patient.patient_key("ward", "4711")
    assert surroundings.events == [("facts", 1, key, "annotations")]
    assert (taken.parsed.facts.patient_key, taken.parsed.image) == (key, FOLDER_IMAGE)
    assert taken.targets == (("one@1", 0),)
    chunks: list[Any] = list(taken.chunks)
    assert [[array is given for array, given in zip(chunk, inputs, strict=True)] for chunk in chunks] == [[True, True]]
    assert taken.held_bytes == 4 * (6 + 5)
    assert taken.parsed.remarks is found.remarks
    assert taken.parsed.model_remarks == found.model_remarks

    nothing = reader_of(surroundings, monkeypatch)._take_over(FOLDER_IMAGE, found, ())
    assert nothing is not None
    assert (list(nothing.chunks), nothing.held_bytes) == ([], 0)


def test_what_a_decoder_read_may_still_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcome then has the identity of the file, and the image is not prepared."""
    surroundings = Surroundings()
    found = decoded(sop_instance_uid="1.2", modality="XX")
    assert reader_of(surroundings, monkeypatch)._take_over(FOLDER_IMAGE, found, ()) is None
    assert surroundings.events[-1] == (1, FILE.content, Reason.OPTED_OUT)


SLICES, OWN = SimpleNamespace(needs_neighbours=True), SimpleNamespace(needs_neighbours=False)


@pytest.mark.parametrize(
    ("spec", "series", "asked"), [(SLICES, "spec of a series", True), (SLICES, None, False), (OWN, "spec", False)]
)
def test_a_bundle_of_series_whose_input_has_neighbours_asks_for_them(
    monkeypatch: pytest.MonkeyPatch, spec: Any, series: str | None, asked: bool
) -> None:
    """A bundle of images that has such an input, and one of series without, ask for none. The order does not matter."""
    bundle = SimpleNamespace(bundle=SimpleNamespace(series=series))
    image_bundle = SimpleNamespace(bundle=SimpleNamespace(series=None))
    surroundings = Surroundings(alone=image_bundle, stack=bundle)
    reader = reader_of(surroundings, monkeypatch)
    reader._neighbours = SimpleNamespace(with_neighbours=lambda *given: given)  # type: ignore[assignment]
    targets = [("alone", 0), ("stack", 1)]
    found: Any = reader._neighbours_of(FOLDER_IMAGE, Facts(), "image", [OWN, spec], targets)  # type: ignore[arg-type,list-item]
    assert found == ((FOLDER_IMAGE, Facts(), "image", "stack") if asked else None)


@pytest.mark.parametrize(("only_neighbours", "pool"), [(True, None), (False, "pool")])
def test_decoders_are_used_unless_every_network_has_neighbours(
    monkeypatch: pytest.MonkeyPatch, *, only_neighbours: bool, pool: str | None
) -> None:
    """Decoders read one file each."""
    assert reader_of(Surroundings(only_neighbours=only_neighbours), monkeypatch)._decode_pool == pool
