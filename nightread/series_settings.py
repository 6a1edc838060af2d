"""Define the settings of series: a part of nightread.settings."""

from pydantic import Field
from pydantic_settings import BaseSettings


class SeriesSettings(BaseSettings):
    """The settings that decide when a series is formed."""

    series_quiet_seconds: float = Field(
        60,
        ge=0,
        description="A series whose number of images is unknown is formed when no slice got an outcome for this long.",
    )
    series_wait_seconds: float = Field(
        900,
        ge=0,
        description="A series of a study with missing images is formed, as partial, when no slice got an outcome for "
        "this long, or at the end of the night.",
    )
