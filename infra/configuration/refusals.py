"""Sentences that refuse a configuration: the key, the given value, the allowed values, and the command to run."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

ABSENT = object()
RULE = "rule"  # the type of pydantic's error for a broken rule of consistency


def refuse(key: str, allowed: str) -> PydanticCustomError:
    """Return the error for a dotted key whose value does not fit the others."""
    return PydanticCustomError(RULE, "{key} must be {allowed}", {"key": key, "allowed": allowed})


def sentences(error: ValidationError, model: type[BaseModel], namespace: str) -> list[str]:
    """Return one sentence per finding."""
    return [_Sentences(model, namespace).of(finding) for finding in error.errors()]


def asking_for_own(path: Sequence[str], given: str, model: type[BaseModel], namespace: str) -> tuple[str, str]:
    """Return the dotted key of a placeholder, and the sentence that asks the reader to replace it."""
    writer, parts = _Sentences(model, namespace), list(path)
    allowed = f"your own instead of this placeholder ({writer.allowed(parts)})"
    return _dotted(parts), writer.wrong(_dotted(parts), given, allowed)


@dataclass(frozen=True)
class _Sentences:
    model: type[BaseModel]
    namespace: str

    def of(self, finding: ErrorDetails) -> str:
        path = [str(part) for part in finding["loc"]]
        key = _dotted(path)
        if finding["type"] == "extra_forbidden":
            return self._unknown(path)
        if finding["type"] == "missing":
            return f"Configuration key {self.namespace}:{key} is missing; {self._rest(key, self.allowed(path))}"
        if finding["type"] == RULE:
            context = finding["ctx"]
            return self.wrong(context["key"], _lookup(finding["input"], context["key"]), context["allowed"])
        return self.wrong(key, finding["input"], self.allowed(path))

    def wrong(self, key: str, given: object, allowed: str) -> str:
        shown = "not given" if given is ABSENT else json.dumps(given, default=str, ensure_ascii=False)
        return f"Configuration key {self.namespace}:{key} is {shown}; {self._rest(key, allowed)}"

    def _rest(self, key: str, allowed: str) -> str:
        return f"allowed: {allowed}. Change it with `pulumi config set --path {self.namespace}:{key} …`."

    def _unknown(self, path: list[str]) -> str:
        known, key = list(self._fields(path[:-1])), _dotted(path)
        close = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known keys: {', '.join(known)}."
        remedy = f"Rename it, or remove it with `pulumi config rm --path {self.namespace}:{key}`."
        return f"Configuration key {self.namespace}:{key} is unknown. {hint} {remedy}"

    def _fields(self, path: list[str]) -> dict[str, Any]:
        """Return the fields of the section at that path, by their names in the file."""
        model: Any = self.model
        for part in path:
            annotation = {field.alias: field for field in model.model_fields.values()}[part].annotation
            model = next((one for one in get_args(annotation) if one is not type(None)), annotation)
        return {str(field.alias): field for field in model.model_fields.values()}

    def allowed(self, path: list[str]) -> str:
        """Return the field's description. An item of a list has the description of the list."""
        named = [part for part in path if not part.isdigit()]
        return str(self._fields(named[:-1])[named[-1]].description)


def _dotted(path: list[str]) -> str:
    """Return the path as `pulumi config --path` takes it: `zones[0]`, `index.m`."""
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path).removeprefix(".")


def _lookup(given: Any, key: str) -> object:
    for part in key.split("."):
        given = given.get(part, ABSENT) if isinstance(given, Mapping) else given
    return given
