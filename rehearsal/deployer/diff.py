"""Comparison of a registration with the live resource: no change, an update in place, or a replacement."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rehearsal.deployer.errors import UnsupportedError
from rehearsal.deployer.kind import Kind
from rehearsal.deployer.state import Properties, Resource

Action = Literal["same", "update", "replace"]
PATH_STEP = re.compile(r"\[(\d+|\*|\"[^\"]*\")\]|\.?([^.\[]+)")
EVERY = "*"


@dataclass(frozen=True)
class Decision:
    """An action and the changed properties that cause it."""

    action: Action
    changed: frozenset[str] = frozenset()


def with_defaults(kind: Kind, inputs: Properties, default_tags: Mapping[str, str]) -> Properties:
    """Return the inputs with the provider's defaults and with all tags, those of the provider included."""
    complete = {**kind.defaults, **inputs}
    if kind.tagged:
        complete["tagsAll"] = {**default_tags, **inputs.get("tags", {})}
    return complete


def as_recorded(kind: Kind, inputs: Properties) -> Properties:
    """Return the inputs as the state keeps them, with a digest of long contents."""
    return {key: _digest(value) if key in kind.digested else value for key, value in inputs.items()}


def decide(kind: Kind, old: Resource, inputs: Properties, replace_on_changes: Iterable[str] = ()) -> Decision:
    """Compare complete inputs with those of the last apply. Raise UnsupportedError for an unknown property."""
    changed = _changed(kind, old.inputs, as_recorded(kind, inputs))
    if not changed:
        return Decision("same")
    known = kind.replaced_by | kind.updated_by | ({"tags", "tagsAll"} if kind.tagged else set())
    unknown = sorted(changed - known)
    if unknown:
        raise UnsupportedError(
            f"property {unknown[0]} changed, and the deployer's table of {kind.token} lacks it; "
            "add the property under rehearsal/deployer"
        )
    forced = {path.split(".")[0].split("[")[0] for path in replace_on_changes}
    if changed & kind.replaced_by or forced & changed or EVERY in forced:
        return Decision("replace", changed)
    return Decision("update", changed)


def deletes_first(kind: Kind, old: Resource, inputs: Properties, asked: bool | None) -> bool:
    """Tell whether a replacement deletes before it creates: by request, or because both have the same name.

    The Pulumi bridge has the same rule: it applies to a name that the program gave and did not change.
    """
    if asked is not None:
        return asked
    name = kind.name_property
    return name is not None and not old.named_by_deployer and old.inputs.get(name) == inputs.get(name)


def ignoring(old: Properties, new: Properties, paths: Iterable[str]) -> Properties:
    """Return the new inputs with the old values at the paths of `ignoreChanges`."""
    result: Properties = copy.deepcopy(new)
    for path in paths:
        result = _restored(old, result, _steps(path))
    return result


def _changed(kind: Kind, old: Properties, new: Properties) -> frozenset[str]:
    return frozenset(
        key for key in {*old, *new} if _comparable(kind, key, old.get(key)) != _comparable(kind, key, new.get(key))
    )


def _comparable(kind: Kind, key: str, value: Any) -> Any:
    """Return a value that is equal where the provider sees no change: sets have no order, a file has no path."""
    if key in kind.sets and isinstance(value, list):
        return sorted(json.dumps(item, sort_keys=True) for item in value)
    if key in kind.json_texts and isinstance(value, str):
        return _meaning(value)
    if isinstance(value, dict) and "sha256" in value:
        return value["sha256"]
    # The provider's schema treats an empty list, map or text as not set.
    return None if value in ([], {}, "") else value


def _meaning(text: str) -> Any:
    """Return the value of a JSON text, or the text itself if it is not valid JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text or None


def _digest(value: Any) -> Any:
    if isinstance(value, dict) or value is None:
        return value
    return {"sha256": hashlib.sha256(str(value).encode()).hexdigest()}


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    for index, name in PATH_STEP.findall(path):
        steps.append(int(index) if index.isdigit() else (index.strip('"') if index else name))
    return steps


def _restored(old: Any, new: Any, steps: list[str | int]) -> Any:
    """Return `new` with the value of `old` at the path, or without one if `old` has none."""
    if not steps:
        return copy.deepcopy(old)
    step, rest = steps[0], steps[1:]
    if isinstance(new, dict):
        before = old if isinstance(old, dict) else {}
        keys = {*new, *before} if step == EVERY else {step}
        merged = new | {key: _restored(before.get(key), new.get(key), rest) for key in sorted(keys, key=str)}
        return {key: value for key, value in merged.items() if value is not None}
    if isinstance(new, list):
        former = [*(old if isinstance(old, list) else []), *([None] * len(new))]
        hit = {i for i in range(len(new)) if step in (EVERY, i) and (rest or former[i] is not None)}
        return [_restored(former[i], item, rest) if i in hit else item for i, item in enumerate(new)]
    return new
