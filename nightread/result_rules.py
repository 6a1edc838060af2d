"""Define the rules on results: actions that a label, score, model or source causes."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

RuleName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[\w.-]+$")]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[\w. -]+$")]


class ResultRule(BaseModel):
    """One rule: all its conditions must hold for a result; its actions are performed once per study.

    A rule never changes a result or the mark `not for diagnosis`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: RuleName = Field(description="Unique name of the rule.")
    label: str | None = Field(None, description="Label of the result; unset: any.")
    min_score: float | None = Field(None, ge=0, le=1, description="Smallest score; unset: any.")
    max_score: float | None = Field(None, ge=0, le=1, description="Largest score; unset: any.")
    model: str | None = Field(None, description="`NAME` or `NAME@VERSION` of the model; unset: any.")
    source: str | None = Field(None, description="Name of the source of the image; unset: any.")
    priority: int | None = Field(
        None,
        ge=0,
        le=9,
        description="Priority of images of the study that wait now, or come to wait within a day: 0 is first.",
    )
    tag: Tag | None = Field(None, description="Word that people see beside the study.")
    webhook: RuleName | None = Field(None, description="Name of the channel that is notified.")
    destination: str | None = Field(
        None, description='Name of a destination with `studies = "rules"`, which then gets the report of the study.'
    )

    @model_validator(mode="after")
    def _check_rule(self) -> Self:
        if not any((self.label, self.model, self.source, self.min_score is not None, self.max_score is not None)):
            raise ValueError("give at least one condition: label, min_score, max_score, model or source")
        if not self.actions:
            raise ValueError("give at least one action: priority, tag, webhook or destination")
        return self

    @property
    def actions(self) -> dict[str, str]:
        """Return the actions of the rule: the target of each kind of action."""
        found = {
            "priority": None if self.priority is None else str(self.priority),
            "tag": self.tag,
            "webhook": self.webhook,
            "destination": self.destination,
        }
        return {kind: target for kind, target in found.items() if target is not None}
