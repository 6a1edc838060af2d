"""Define the settings of outgoing mail, by which `nightread report` is sent: a part of nightread.settings."""

from typing import Literal

from pydantic import Field, FieldSerializationInfo, SecretStr, field_serializer
from pydantic_settings import BaseSettings

from nightread.sources import reveal


class MailSettings(BaseSettings):
    """The settings of the mail server."""

    smtp_host: str | None = Field(None, description="Host name of the mail server by which `report --send-to` sends.")
    smtp_port: int | None = Field(
        None, ge=1, le=65535, description="TCP port of the mail server; unset: 587, or 465 with smtp_tls `tls`."
    )
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="Encryption of mail: `starttls` (nothing is sent if the server does not encrypt), `tls` from the "
        "first byte, or `none`.",
    )
    smtp_from: str | None = Field(
        None, description="Address of the sender of reports, such as `night@hospital.example`."
    )
    smtp_user: str | None = Field(None, description="User name at the mail server; unset: no login.")
    smtp_password: SecretStr | None = Field(None, description="Password at the mail server.")

    @field_serializer("smtp_password")
    def _reveal_password_to_children(self, value: SecretStr | None, info: FieldSerializationInfo) -> str | None:
        return None if value is None else reveal(value, info)
