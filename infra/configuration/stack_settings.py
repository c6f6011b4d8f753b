"""The settings of a stack, read from its configuration, and the placeholders among them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Self

from pydantic import ValidationError, model_validator

from infra.configuration.consistency import findings
from infra.configuration.refusals import asking_for_own, refuse, sentences
from infra.configuration.settings import Settings

NAMESPACE = "vectorfleet"
PLACEHOLDER = re.compile(
    r"ami-(0+|0123456789abcdef0|1234567890abcdef0)"  # no image, and the images of AWS's own examples
    r"|arn:.*:123456789012:.*"  # the account of AWS's own examples
    r"|(.*[./@])?example\.(com|net|org)([:/].*)?"  # names that IANA reserves for examples
)


class ConfigError(ValueError):
    """A refused configuration; the message is one sentence per finding."""


class _CheckedSettings(Settings):
    """Settings that also fit together."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for key, wrong, allowed in findings(self):
            if wrong:
                raise refuse(key, allowed)
        return self


def settings_from(values: Mapping[str, str]) -> Settings:
    """
    Return the settings in a configuration as Pulumi passes it: all values strings, objects and lists as JSON.

    Keys have no namespace. Raises ConfigError, one sentence per finding.
    """
    if "slot" in values:
        raise ConfigError(_renamed(values["slot"]))
    try:
        return _CheckedSettings.model_validate({key: _decoded(value) for key, value in values.items()})
    except ValidationError as error:
        raise ConfigError("\n".join(sentences(error, Settings, NAMESPACE))) from None


def _renamed(slot: str) -> str:
    """Return the sentence on the key of earlier versions, whose stacks had one slot."""
    return (
        f"Configuration key {NAMESPACE}:slot is {json.dumps(slot)}; it is now {NAMESPACE}:slots, an object with blue, "
        f"green or both. Run `pulumi config rm {NAMESPACE}:slot` and "
        f"`pulumi config set {NAMESPACE}:slots '{{\"{slot}\": {{}}}}'`."
    )


def placeholders(settings: Settings) -> list[tuple[str, str]]:
    """Return each key that still has an example's placeholder, with a sentence that asks for a value."""
    texts = _texts(settings.model_dump(by_alias=True))
    return [asking_for_own(path, text, Settings, NAMESPACE) for path, text in texts if PLACEHOLDER.fullmatch(text)]


def _decoded(value: str) -> object:
    if value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _texts(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every text below a value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _texts(item, (*path, str(key)))
