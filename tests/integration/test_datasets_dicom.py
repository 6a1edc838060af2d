"""DICOM folders are split by patient, each frame is an example, and broken files are counted."""

import csv
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zlib import crc32

import numpy as np
import pydicom
import pytest
import skip_reasons
from dicom_files import as_rgb
from skip_reasons import SHARED_DATA

from imaging.kind import COLOUR, GREY
from imaging.prepare import prepare
from imaging.read import read
from models.datasets import open_dataset
from models.datasets.dataset import Dataset, Examples
from models.datasets.leakage import PATIENT
from models.phantoms.dicom import PhantomStyle, phantom_file
from models.phantoms.truth_file import PhantomTruth
from nightread.errors import RejectImage, RetryImage, UsageFault
from nightread.reasons import Reason

DATA = SHARED_DATA / "dicom"
SMALL = PhantomStyle(size=48, syntax="explicit")
FILMS = 60


@pytest.fixture(scope="module")
def films() -> list[tuple[bytes, PhantomTruth]]:
    """Return 60 films of 30 patients."""
    return [phantom_file(seed=5, index=index, style=SMALL) for index in range(FILMS)]


@pytest.fixture
def folder(tmp_path: Path, films: list[tuple[bytes, PhantomTruth]]) -> Path:
    """Return a folder with the films in class folders."""
    for content, truth in films:
        place = tmp_path / "scans" / truth.label / truth.file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return tmp_path / "scans"


def parts(data: Dataset) -> dict[str, Examples]:
    return {"train": data.train, "validation": data.validation, "test": data.test}


def patient_of(folder: Path, name: str) -> str:
    return str(pydicom.dcmread(folder / name, stop_before_pixels=True).PatientID)


def test_no_patient_is_in_two_parts(folder: Path) -> None:
    """Another library reads the PatientID of each file, and the patient numbers of the parts agree with it."""
    data = open_dataset(f"dicom:{folder}")
    seen = [{patient_of(folder, name) for name in part.names} for part in parts(data).values()]
    assert sum(map(len, seen)) == len(set.union(*seen)) == FILMS // 2
    numbers = [set(part.patients.tolist()) for part in parts(data).values() if part.patients is not None]
    assert list(map(len, numbers)) == list(map(len, seen))
    assert len(set.union(*numbers)) == FILMS // 2
    assert (data.split, data.labels, data.exclusive) == ("patient", ("clear", "nodule"), True)


@pytest.mark.parametrize(("tint", "samples"), [(0, {GREY}), (60, {GREY, COLOUR})])
def test_a_grey_film_that_is_stored_in_colours_is_grey(folder: Path, tint: int, samples: set[int]) -> None:
    """Training writes this into the domain, and evaluation compares it: both as a worker sees it."""
    (folder / "clear" / "gateway.dcm").write_bytes(as_rgb(1, tint=tint))

    data = open_dataset(f"dicom:{folder}")
    assert {kind.samples for kind in data.kinds} == samples
    assert data.native_spec.shape == (128, 128, max(samples))
    assert data.train.inputs([0, 1], data.native_spec).shape == (2, 128, 128, max(samples))


def test_the_names_of_files_do_not_change_the_split(folder: Path) -> None:
    """Renamed files are listed in another order, but each patient remains in the same part."""
    before = {name: {patient_of(folder, each) for each in part.names} for name, part in split(folder).items()}
    for path in sorted(folder.rglob("*.dcm")):
        path.rename(path.with_name(f"{crc32(path.name.encode()):08x}-{path.name}"))
    after = {name: {patient_of(folder, each) for each in part.names} for name, part in split(folder).items()}
    assert before == after


def split(folder: Path) -> dict[str, Examples]:
    return parts(open_dataset(f"dicom:{folder}"))


def test_inputs_equal_those_of_the_worker(folder: Path) -> None:
    """The values are equal bit for bit, even if several threads read at the same time."""
    data = open_dataset(f"dicom:{folder}")
    rows = np.random.default_rng(0).permutation(len(data.train))
    served = np.stack(
        [prepare(next(read((folder / data.train.names[row]).read_bytes()).frames()), data.native_spec) for row in rows]
    )
    start = threading.Barrier(4)

    def read_together(_: int) -> object:
        start.wait(timeout=20)
        return data.train.inputs(rows, data.native_spec)

    with ThreadPoolExecutor(4) as pool:
        for prepared in pool.map(read_together, range(4)):
            np.testing.assert_array_equal(prepared, served)


def test_without_a_patient_equal_files_are_in_one_part(folder: Path) -> None:
    """If a file has no PatientID, the split is by image, and files with equal bytes are in one part."""
    for number, path in enumerate(sorted(folder.rglob("*.dcm"))):
        dataset = pydicom.dcmread(path)
        dataset.PatientID = " "
        dataset.save_as(path)
        if number % 2:
            path.with_name(f"copy-{path.name}").write_bytes(path.read_bytes())
    data = open_dataset(f"dicom:{folder}")
    contents = [{(folder / name).read_bytes() for name in part.names} for part in parts(data).values()]
    assert sum(map(len, contents)) == len(set.union(*contents)) == FILMS
    assert data.split == "image"
    assert data.train.patients is None


def test_labels_by_sop_instance_uid(folder: Path, films: list[tuple[bytes, PhantomTruth]], tmp_path: Path) -> None:
    """Columns of 0 and 1 give any number of labels per image; files without a row are left out."""
    rows = [(truth.sop_instance_uid, int(bool(truth.lesions)), index % 2) for index, (_, truth) in enumerate(films)]
    file = write_csv(tmp_path, "sop_instance_uid,nodule,odd", rows[:50])
    data = open_dataset(f"dicom:{folder}", labels_file=file)
    assert (data.labels, data.exclusive, data.split) == (("nodule", "odd"), False, "patient")
    assert sum(part.images for part in parts(data).values()) == 50
    expected = {truth.file: list(row[1:]) for (_, truth), row in zip(films, rows, strict=True)}
    for part in parts(data).values():
        assert part.truth.tolist() == [expected[Path(name).name] for name in part.names]


def test_patients_of_the_csv_file_override_those_of_the_header(folder: Path, tmp_path: Path) -> None:
    """Files that were anonymised one by one can still be split by patient."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.dcm"))
    rows = [(name, name.split("/")[0], f"P{index // 6}") for index, name in enumerate(names)]
    data = open_dataset(f"dicom:{folder}", labels_file=write_csv(tmp_path, "path,label,patient", rows))
    patients = {name: patient for name, _, patient in rows}
    seen = [{patients[name] for name in part.names} for part in parts(data).values()]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 10


def test_patients_of_the_headers_in_several_parts_are_leakage(folder: Path, tmp_path: Path) -> None:
    """The CSV file gives each film a patient of its own; the headers say that there are two films of each."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.dcm"))
    rows = [(name, name.split("/")[0], f"P{index}") for index, name in enumerate(names)]
    data = open_dataset(f"dicom:{folder}", labels_file=write_csv(tmp_path, "path,label,patient", rows))

    train, test = ({patient_of(folder, name) for name in part.names} for part in (data.train, data.test))
    shared = [name for name in data.test.names if patient_of(folder, name) in train & test]
    found = {(leak.what, leak.seen_in, leak.part): leak.images for leak in data.leaks}
    assert found[PATIENT, "training", "test"] == len(shared) > 0


def test_one_patient_in_all_headers_is_no_leakage(folder: Path, tmp_path: Path) -> None:
    """Such a name was written by an anonymiser; the CSV file knows better."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.dcm"))
    for name in names:
        film = pydicom.dcmread(folder / name)
        film.PatientID, film.IssuerOfPatientID = "ANONYMOUS", "NONE"
        film.save_as(folder / name)
    rows = [(name, name.split("/")[0], f"P{index}") for index, name in enumerate(names)]
    data = open_dataset(f"dicom:{folder}", labels_file=write_csv(tmp_path, "path,label,patient", rows))
    assert data.leaks == ()


def test_rows_that_match_no_file_are_an_error(folder: Path, tmp_path: Path) -> None:
    """An unused row usually means that the paths are wrong, mostly in all rows."""
    for heading in ("path", "sop_instance_uid"):
        file = write_csv(tmp_path, f"{heading},label", [("no/such.dcm", "a"), ("nor/this.dcm", "b")])
        with pytest.raises(
            UsageFault, match=r"2 of 2 rows of .* match no file; the first one is line 2.*must name files below"
        ):
            open_dataset(f"dicom:{folder}", labels_file=file)


def test_broken_files_are_counted(folder: Path) -> None:
    """They are counted by reason, and the other files are used; this is known before the first epoch."""
    (folder / "clear" / "notes.txt").write_text("not a scan")
    (folder / "clear" / "empty.dcm").touch()
    whole = next((folder / "clear").glob("phantom*")).read_bytes()
    (folder / "clear" / "cut.dcm").write_bytes(whole[:-100])
    calls: list[tuple[int, int]] = []
    data = open_dataset(f"dicom:{folder}", progress=lambda done, total: calls.append((done, total)))
    assert data.unreadable == {Reason.NOT_DICOM: 1, Reason.EMPTY: 1, Reason.TRUNCATED: 1}
    assert sum(part.images for part in parts(data).values()) == FILMS
    assert calls == [(done, FILMS + 3) for done in range(1, FILMS + 4)]


def test_a_file_that_disappears_raises_a_retryable_error(folder: Path) -> None:
    """The file is deleted between opening the data set and reading its pixels."""
    data = open_dataset(f"dicom:{folder}")
    (folder / data.train.names[0]).unlink()
    with pytest.raises(RetryImage, match="missing_file"):
        data.train.inputs([0], data.native_spec)


def test_folders_of_parts_are_an_official_split(folder: Path) -> None:
    """The folders train, val and test are the parts; a patient in two of them is an error."""
    for number, path in enumerate(sorted(folder.rglob("*.dcm"), key=lambda path: path.name)):
        part = ("train", "val", "test")[number // 20]
        (folder / part / path.parent.name).mkdir(parents=True, exist_ok=True)
        path.rename(folder / part / path.parent.name / path.name)
    for label in ("clear", "nodule"):
        (folder / label).rmdir()
    data = open_dataset(f"dicom:{folder}")
    assert data.split == "official"
    assert [(part.images, {name.split("/")[0] for name in part.names}) for part in parts(data).values()] == [
        (20, {"train"}),
        (20, {"val"}),
        (20, {"test"}),
    ]
    film = min((folder / "test").rglob("*.dcm"))
    film.rename(folder / "train" / film.parent.name / film.name)
    with pytest.raises(UsageFault, match=r"1 patient has images in more than one part\. Keep each patient in one part"):
        open_dataset(f"dicom:{folder}")


def test_each_frame_is_an_example_of_its_image(tmp_path: Path) -> None:
    """In any order of rows, each row has the values of its frame."""
    names = ("pydicom-data/emri_small.dcm", "pydicom-data/emri_small_RLE.dcm")
    if not all((DATA / name).is_file() for name in names):
        pytest.skip(skip_reasons.NO_SHARED_DATA)
    for number in range(6):
        for label, name in zip(("plain", "packed"), names, strict=True):
            dataset = pydicom.dcmread(DATA / name)
            dataset.PatientID = f"{label}{number}"
            (tmp_path / label).mkdir(exist_ok=True)
            dataset.save_as(tmp_path / label / f"{number}.dcm")
    data = open_dataset(f"dicom:{tmp_path}")
    part = data.train
    assert len(part) == 10 * part.images
    assert part.image_of.tolist() == [image for image in range(part.images) for _ in range(10)]
    rows = np.append(np.random.default_rng(0).permutation(len(part)), [7, 7])
    prepared = part.inputs(rows, data.native_spec)
    np.testing.assert_array_equal(prepared, Examples.inputs(part, rows, data.native_spec))
    original = pydicom.dcmread(io.BytesIO((tmp_path / part.names[1]).read_bytes())).pixel_array
    np.testing.assert_array_equal(part.load(13).stored, original[3])
    assert part.inputs([], data.native_spec).shape == (0, 64, 64, 1)


def test_a_real_mixed_folder_opens_and_decodes(tmp_path: Path) -> None:
    """The files are real, of three modalities, some without patient and some without pixels."""
    if not (DATA / "manifest.csv").is_file():
        pytest.skip(skip_reasons.NO_SHARED_DATA)
    with (DATA / "manifest.csv").open(newline="") as stream:
        rows = [(row["path"], row["modality"]) for row in csv.DictReader(stream)]
    file = write_csv(tmp_path, "path,label", [row for row in rows if row[1] in ("CT", "MR", "US")])
    data = open_dataset(f"dicom:{DATA}", labels_file=file)
    assert (data.labels, data.split) == (("CT", "MR", "US"), "image")
    for part in parts(data).values():
        prepared = part.inputs(np.arange(len(part)), data.native_spec)
        assert np.isfinite(prepared).all()
        assert prepared.std() > 0
        assert (part.truth.sum(axis=0) > 0).all()


def test_pixels_that_cannot_be_decoded_are_rejected(folder: Path) -> None:
    """The header is valid, so that the error is raised, with its reason, when the frame is read.

    Behind the changed bytes, a marker segment of the codestream is longer than the frame.
    """
    style = PhantomStyle(size=48, syntax="jpeg2000")
    content, _ = phantom_file(seed=6, index=0, style=style)
    start = content.rindex(b"\xff\x4f\xff\x51")
    (folder / "clear" / "noise.dcm").write_bytes(content[: start + 60] + b"\x55" * 40 + content[start + 100 :])
    data = open_dataset(f"dicom:{folder}")
    part, row = next(
        (part, part.names.index("clear/noise.dcm")) for part in parts(data).values() if "clear/noise.dcm" in part.names
    )
    with pytest.raises(RejectImage, match="truncated: A JPEG 2000 frame ends within a header"):
        part.inputs([row], data.native_spec)


def write_csv(folder: Path, heading: str, rows: list[tuple[object, ...]]) -> Path:
    """Write `labels.csv` into the folder."""
    file = folder / "labels.csv"
    file.write_text("\n".join([heading, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return file
