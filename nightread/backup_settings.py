"""Define the settings of backups: a part of nightread.settings."""

from pydantic import Field
from pydantic_settings import BaseSettings


class BackupSettings(BaseSettings):
    """The settings of backups."""

    backup_alarm_days: float = Field(
        2, ge=0, description="`doctor` warns if the latest backup is older than this; 0: never."
    )
