"""Phantoms: the same seed gives the same bytes, the header is that of a film, and the truth is correct."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array

from models.phantoms.dicom import SYNTAXES, PhantomStyle, phantom_file, write_phantoms
from models.phantoms.phantom import CLEAR, NODULE, Lesion, draw
from models.phantoms.truth_file import PhantomTruth


def parsed(content: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(content))


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    """Two folders from one seed are equal byte by byte."""
    for folder, count in (("a", 4), ("b", 4)):
        write_phantoms(tmp_path / folder, count=count, seed=5, style=PhantomStyle(size=32))
    contents = [[path.read_bytes() for path in sorted((tmp_path / folder).iterdir())] for folder in ("a", "b")]
    assert contents[0] == contents[1]
    assert len(set(contents[0])) == 4


def test_another_seed_writes_other_films() -> None:
    """Pixels, UIDs and patients differ between two seeds."""
    style = PhantomStyle(size=32, syntax="explicit")
    first, second = (parsed(phantom_file(seed=seed, index=0, style=style)[0]) for seed in (1, 2))
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.PatientID != second.PatientID
    assert first.PixelData != second.PixelData


def test_every_film_has_the_tags_of_a_chest_film() -> None:
    """The header names patient, study, series and image, and the UIDs are unique."""
    films = [parsed(phantom_file(seed=1, index=index, style=PhantomStyle(size=32))[0]) for index in range(8)]
    for film in films:
        assert film.SOPClassUID.name == "Digital X-Ray Image Storage - For Presentation"
        assert (film.Modality, film.BodyPartExamined, film.ViewPosition) == ("DX", "CHEST", "PA")
        needed = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyDate")
        assert all(str(film[name].value) for name in (*needed, "Manufacturer", "WindowCenter", "PixelSpacing"))
        assert film.file_meta.MediaStorageSOPInstanceUID == film.SOPInstanceUID
        assert max(len(film[name].value) for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")) <= 64
    for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        assert len({film[name].value for film in films}) == 8
    assert films[0].PatientID == films[1].PatientID != films[2].PatientID


def test_header_values_conform_to_their_vr() -> None:
    """The strict validation of pydicom accepts all values."""
    for index in range(12):
        film = parsed(phantom_file(seed=1, index=index, style=PhantomStyle(size=32))[0])
        with pydicom.config.disable_value_validation():
            elements = [element for element in film if element.VR not in ("SQ", "OB", "OW")]
        assert len(elements) > 20
        for element in elements:
            strict = pydicom.dataelem.DataElement(
                element.tag, element.VR, element.value, validation_mode=pydicom.config.RAISE
            )
            assert strict == element


@pytest.mark.parametrize("size", [28, 29, 64])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", [name for name in SYNTAXES if name not in ("explicit", "jpeg2000")])
def test_all_syntaxes_hold_the_same_pixels(syntax: str, bits: int, size: int) -> None:
    """Compression is lossless for all depths and for odd sizes (JPEG 2000: test_models_shipped)."""
    plain, packed = (
        phantom_file(seed=3, index=1, style=PhantomStyle(size=size, bits=bits, syntax=name, monochrome1=False))[0]
        for name in ("explicit", syntax)
    )
    assert parsed(packed).file_meta.TransferSyntaxUID == SYNTAXES[syntax]
    np.testing.assert_array_equal(pixel_array(io.BytesIO(packed)), pixel_array(io.BytesIO(plain)))


def test_monochrome1_is_the_negative() -> None:
    """Stored values and window are mirrored; the displayed image is the same."""
    style = {"size": 32, "bits": 12, "syntax": "explicit"}
    positive, negative = (
        parsed(phantom_file(seed=1, index=0, style=PhantomStyle(monochrome1=inverted, **style))[0])
        for inverted in (False, True)
    )
    assert negative.PhotometricInterpretation == "MONOCHROME1"
    difference = positive.pixel_array.astype(int) + negative.pixel_array - 4095
    assert np.abs(difference).max() <= 1
    assert float(positive.WindowCenter) + float(negative.WindowCenter) == pytest.approx(4095, abs=0.2)


def test_a_mixed_folder_contains_all_styles() -> None:
    """All syntaxes and depths, both photometric interpretations and both labels occur."""
    truths = [phantom_file(seed=9, index=index, style=PhantomStyle(size=16))[1] for index in range(80)]
    assert {truth.syntax for truth in truths} == set(SYNTAXES)
    assert {truth.bits for truth in truths} == {8, 12, 16}
    assert {truth.photometric for truth in truths} == {"MONOCHROME1", "MONOCHROME2"}
    assert {truth.label for truth in truths} == {CLEAR, NODULE}


def test_lesions_are_where_the_truth_says() -> None:
    """A film and the same film without lesions differ only inside the circles of the truth."""
    rows, columns = np.mgrid[:128, :128]
    for index in range(10):
        sick, twin = (draw(seed=4, index=index, size=128, nodule_share=share) for share in (1.0, 0.0))
        difference = np.abs(sick.pixels - twin.pixels)
        distances = [np.hypot(rows - at.row, columns - at.column) / at.radius for at in sick.lesions]
        assert 1 <= len(distances) <= 3
        assert all(difference[distance < 0.8].mean() > 0.03 for distance in distances)
        assert difference[np.min(distances, axis=0) > 2].max() < 0.01


def test_brightness_alone_does_not_reveal_the_label() -> None:
    """No threshold of the mean brightness predicts more than 65 % of the labels."""
    films = [draw(seed=6, index=index, size=32) for index in range(300)]
    means = np.array([film.pixels.mean() for film in films])
    sick = np.array([film.label == NODULE for film in films])
    cut = np.sort(means)
    best = max(max((sick == (means > level)).mean(), (sick == (means <= level)).mean()) for level in cut)
    assert best < 0.65


def test_the_share_of_nodules_is_as_asked() -> None:
    """1.0 gives all, 0.0 none and 0.5 about half."""
    assert {draw(seed=1, index=index, size=8, nodule_share=1.0).label for index in range(20)} == {NODULE}
    assert {draw(seed=1, index=index, size=8, nodule_share=0.0).label for index in range(20)} == {CLEAR}
    assert 60 < sum(draw(seed=1, index=index, size=8).label == NODULE for index in range(160)) < 100


def test_the_truth_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Lesions are equal to the last digit."""
    truths = write_phantoms(
        tmp_path / "scans", count=6, seed=2, style=PhantomStyle(size=32), truth_csv=tmp_path / "truth.csv"
    )
    assert _read_truth(tmp_path / "truth.csv") == truths
    assert {path.name for path in (tmp_path / "scans").iterdir()} == {truth.file for truth in truths}


def test_a_truth_file_among_the_scans_is_refused(tmp_path: Path) -> None:
    """It would be registered as an arrival."""
    with pytest.raises(ValueError, match="outside"):
        write_phantoms(tmp_path, count=1, seed=1, truth_csv=tmp_path / "truth.csv")


@pytest.mark.parametrize("style", [{"bits": 10}, {"syntax": "jpeg"}])
def test_unknown_styles_are_refused(style: dict[str, Any]) -> None:
    """The message lists the allowed values."""
    with pytest.raises(ValueError, match="allowed"):
        PhantomStyle(**style)


def _read_truth(path: Path) -> list[PhantomTruth]:
    with path.open(newline="", encoding="utf-8") as stream:
        return [_truth(row) for row in csv.DictReader(stream)]


def _truth(row: dict[str, str]) -> PhantomTruth:
    return PhantomTruth(
        file=row["file"],
        sop_instance_uid=row["sop_instance_uid"],
        label=row["label"],
        lesions=tuple(map(_lesion, filter(None, row["lesions"].split(";")))),
        pixel_spacing_mm=float(row["pixel_spacing_mm"]),
        syntax=row["syntax"],
        photometric=row["photometric"],
        bits=int(row["bits"]),
    )


def _lesion(text: str) -> Lesion:
    row, column, radius = map(float, text.split(" "))
    return Lesion(row=row, column=column, radius=radius)
