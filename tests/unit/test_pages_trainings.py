"""The page of models links to the training of a bundle, whose page is served as the evaluation is."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import NewSqlite
from mixed_night import MORNING
from pages_client import PagesClient, pages_client

from models.catalogue import SHIPPED

DIGEST = json.loads((SHIPPED / "phantom" / "bundle.json").read_text())["digest"]


@pytest.fixture
def pages(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[PagesClient]:
    """Serve a site that has a bundle with the records of its training."""
    with pages_client(new_sqlite, tmp_path, now=MORNING) as client:
        folder = tmp_path / "bundles" / "phantom"
        shutil.copytree(SHIPPED / "phantom", folder)
        (folder / "training.html").write_text("<p>learning curves</p>")
        yield client


def test_the_training_of_a_bundle_is_shown(pages: PagesClient) -> None:
    """The page may have styles and pictures, and runs nothing."""
    link = f"/models/{DIGEST}/training"
    assert f'<a href="{link}">its training</a>' in pages.get("/models")
    response = pages.client.get(link)
    assert response.text == "<p>learning curves</p>"
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_a_bundle_without_such_a_page_has_no_link(pages: PagesClient, tmp_path: Path) -> None:
    """Bundles of older releases have none, and neither has an imported network."""
    (tmp_path / "bundles" / "phantom" / "training.html").unlink()
    assert "its training" not in pages.get("/models")
    assert "no training of this model" in pages.get(f"/models/{DIGEST}/training", status=404)
