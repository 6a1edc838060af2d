"""The API removes what was purged by programs with another state folder."""

from pathlib import Path

from databases import NewSqlite
from dicom_files import phantom
from shown_images import shown_images

from api.intake.upkeep import Upkeep
from api.keys import KeyRing
from api.pictures.cache import FOLDER
from db import ledger
from nightread.settings import load_settings


def test_the_api_removes_pictures_that_were_purged_elsewhere(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """`nightread purge` and the dispatcher may run in another container, with another state folder."""
    with shown_images(tmp_path, new_sqlite) as images:
        image_id, other = images.add(phantom(30), name="purged.dcm"), images.add(phantom(31), name="kept.dcm")
        for each in (image_id, other):
            assert images.get(each, "thumbnail.png").status_code == 200
        ledger.purge(images.database, image_ids=[image_id], cause="patient", actor="test", now=images.clock())

        intake = images.client.app.state.services.intake  # type: ignore[attr-defined]
        keys = KeyRing(images.database, clock=images.clock)
        settings = load_settings(state_dir=images.state)
        Upkeep(settings, images.database, intake, keys, clock=images.clock).tick()

        kept = [path.name for path in (images.state / FOLDER).rglob("*") if path.is_file()]
        assert {name.partition("-")[0] for name in kept} == {str(other)}
