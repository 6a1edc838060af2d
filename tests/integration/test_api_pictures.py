"""Pictures over HTTP: what a person sees of an image, and why there may be nothing to see."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from databases import NewSqlite
from dicom_files import phantom
from shown_images import ShownImages, pixels_of, shown_images


@pytest.fixture
def images(tmp_path: Path, new_sqlite: NewSqlite) -> Iterator[ShownImages]:
    with shown_images(tmp_path, new_sqlite) as images:
        yield images


def test_a_preview_is_the_frame_as_people_see_it(images: ShownImages) -> None:
    """The window of the header, 64 x 64 as stored; what a person should know is in headers."""
    image_id = images.add(phantom(1))

    response = images.get(image_id)

    print(response.text[:300] if response.status_code != 200 else response.headers)
    pixels = pixels_of(response)
    assert pixels.shape == (64, 64)
    assert np.ptp(pixels) > 100
