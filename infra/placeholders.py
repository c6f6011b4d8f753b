"""Placeholders of the example stacks, where every account has a value of its own. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.config import NAMESPACE
from infra.refusals import asking_for_own
from infra.settings import Settings

PLACEHOLDER = re.compile(
    r"ami-(0+|0123456789abcdef0|1234567890abcdef0)"  # no image, and the images of AWS's own examples
    r"|arn:.*:123456789012:.*"  # the account of AWS's own examples
    r"|(.*[./@])?example\.(com|net|org)([:/].*)?"  # names that IANA keeps for examples
)


def placeholders(settings: Settings) -> list[tuple[str, str]]:
    """The keys at which a placeholder stands, each with a sentence that says so and what to do."""
    found = [(path, value) for path, value in _texts(settings.model_dump(by_alias=True), ()) if _is_one(value)]
    return [asking_for_own(path, value, Settings, NAMESPACE) for path, value in found]


def _is_one(value: str) -> bool:
    return PLACEHOLDER.fullmatch(value) is not None


def _texts(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text below a value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, str(index)))
