"""From what pydantic finds in a configuration to sentences: the key, what was given, what is allowed, what to do."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

ABSENT = object()
RULE = "rule"  # the type of findings that a model's own rules make


def refuse(key: str, allowed: str) -> PydanticCustomError:
    """The error a model's rule raises for a key, by its dotted wire name, that does not fit the others."""
    return PydanticCustomError(RULE, "{key} must be {allowed}", {"key": key, "allowed": allowed})


def sentences(error: ValidationError, model: type[BaseModel], namespace: str) -> list[str]:
    """One sentence per finding."""
    return [_Findings(model, namespace).sentence(finding) for finding in error.errors()]


def asking_for_own(path: Sequence[str], given: str, model: type[BaseModel], namespace: str) -> tuple[str, str]:
    """Ask for a value of the reader's own where an example's placeholder stands: the dotted key and the sentence."""
    findings, parts = _Findings(model, namespace), list(path)
    allowed = f"your own instead of this placeholder ({findings.allowed(parts)})"
    return _dotted(parts), findings.wrong(_dotted(parts), given, allowed)


@dataclass(frozen=True)
class _Findings:
    model: type[BaseModel]
    namespace: str

    def sentence(self, finding: ErrorDetails) -> str:
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
        """Say which value a key has, what is allowed, and how to change it."""
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
        """Wire name to field of the section at that path."""
        model: Any = self.model
        for part in path:
            model = {field.alias: field for field in model.model_fields.values()}[part].annotation
        return {str(field.alias): field for field in model.model_fields.values()}

    def allowed(self, path: list[str]) -> str:
        """Return the field's description; an item of a list is allowed what the list is."""
        named = [part for part in path if not part.isdigit()]
        return str(self._fields(named[:-1])[named[-1]].description)


def _dotted(path: list[str]) -> str:
    """The path as `pulumi config --path` takes it: `zones[0]`, `index.m`."""
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path).removeprefix(".")


def _lookup(given: Any, key: str) -> object:
    for part in key.split("."):
        given = given.get(part, ABSENT) if isinstance(given, Mapping) else given
    return given
