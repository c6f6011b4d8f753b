"""From a stack's configuration to its settings, or to the sentences that refuse it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Self

from pydantic import ValidationError, model_validator

from infra.consistency import findings
from infra.refusals import refuse, sentences
from infra.settings import Settings

NAMESPACE = "vectorfleet"


class ConfigError(ValueError):
    """The configuration is refused; the message is one sentence per finding."""


class _Checked(Settings):
    """Settings whose values fit together."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for key, wrong, allowed in findings(self):
            if wrong:
                raise refuse(key, allowed)
        return self


def settings_from(values: Mapping[str, str]) -> Settings:
    """
    Settings from configuration as Pulumi hands it over: every value a string, objects and lists as JSON.

    Keys carry no namespace. Raises ConfigError, one sentence per finding.
    """
    try:
        return _Checked.model_validate({key: _decoded(value) for key, value in values.items()})
    except ValidationError as error:
        raise ConfigError("\n".join(sentences(error, Settings, NAMESPACE))) from None


def _decoded(value: str) -> object:
    if value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
