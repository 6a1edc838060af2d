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
        description="If the number of images of a study is known and the study is still incomplete, each of its series "
        "is formed anyway, marked as partial, when none of its slices got an outcome for this long, or at the end of "
        "the night.",
    )
