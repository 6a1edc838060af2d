"""List all entrances."""

from collections.abc import Mapping

from fuzz.entrances import dicom_messages, files, models, stores, tables
from fuzz.entrances.entrance import Entrance

ENTRANCES: Mapping[str, Entrance] = {
    entrance.name: entrance
    for module in (files, dicom_messages, stores, tables, models)
    for entrance in module.ENTRANCES
}
