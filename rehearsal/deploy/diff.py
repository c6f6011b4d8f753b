"""What a registration means for what is already there: nothing, an update in place, or a replacement. Pure."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rehearsal.deploy.errors import UnsupportedError
from rehearsal.deploy.kind import Kind
from rehearsal.deploy.state import Properties, Resource

Action = Literal["same", "update", "replace"]
PATH_STEP = re.compile(r"\[(\d+|\*|\"[^\"]*\")\]|\.?([^.\[]+)")
EVERY = "*"


@dataclass(frozen=True)
class Decision:
    """What to do, and the properties that say so."""

    action: Action
    changed: frozenset[str] = frozenset()


def settled(kind: Kind, inputs: Properties, default_tags: Mapping[str, str]) -> Properties:
    """The inputs with the provider's defaults, and with the tags that the resource will really carry."""
    complete = {**kind.defaults, **inputs}
    if kind.tagged:
        complete["tagsAll"] = {**default_tags, **inputs.get("tags", {})}
    return complete


def remembered(kind: Kind, inputs: Properties) -> Properties:
    """The inputs as the state keeps them: long contents as a digest."""
    return {key: _digest(value) if key in kind.digested else value for key, value in inputs.items()}


def decide(kind: Kind, old: Resource, inputs: Properties, replace_on_changes: Iterable[str] = ()) -> Decision:
    """Compare settled inputs with those last applied; UnsupportedError for a change the kind does not know."""
    changed = _changed(kind, old.inputs, remembered(kind, inputs))
    if not changed:
        return Decision("same")
    known = kind.replaced_by | kind.updated_by | ({"tags", "tagsAll"} if kind.tagged else set())
    unknown = sorted(changed - known)
    if unknown:
        raise UnsupportedError(
            f"property {unknown[0]} changed, and the deployer's table does not say whether {kind.token} takes that in "
            "place; add the property under rehearsal/deploy"
        )
    forced = {path.split(".")[0].split("[")[0] for path in replace_on_changes}
    if changed & kind.replaced_by or forced & changed or EVERY in forced:
        return Decision("replace", changed)
    return Decision("update", changed)


def deletes_first(kind: Kind, old: Resource, inputs: Properties, asked: bool | None) -> bool:
    """Whether a replacement must delete before it creates: by request, or since both would have one name.

    The rule for names is that of the Pulumi bridge: a name that the program gave and did not change.
    """
    if asked is not None:
        return asked
    name = kind.name_property
    return name is not None and not old.named_by_deployer and old.inputs.get(name) == inputs.get(name)


def ignoring(old: Properties, new: Properties, paths: Iterable[str]) -> Properties:
    """The new inputs with the old values at the paths of `ignoreChanges`."""
    result = copy.deepcopy(new)
    for path in paths:
        _carry(old, result, _steps(path))
    return result


def _changed(kind: Kind, old: Properties, new: Properties) -> frozenset[str]:
    return frozenset(
        key for key in {*old, *new} if _comparable(kind, key, old.get(key)) != _comparable(kind, key, new.get(key))
    )


def _comparable(kind: Kind, key: str, value: Any) -> Any:
    """A value whose equality is what the provider means by equal: sets have no order, a moved file no path."""
    if key in kind.sets and isinstance(value, list):
        return sorted(json.dumps(item, sort_keys=True) for item in value)
    if key in kind.json_texts and isinstance(value, str):
        return _meaning(value)
    if isinstance(value, dict) and "sha256" in value:
        return value["sha256"]
    # An empty list, map or text is how the provider's schema says "not set".
    return None if value in ([], {}, "") else value


def _meaning(text: str) -> Any:
    """What a JSON text says; a text that is none stands for itself."""
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


def _carry(old: Any, new: Any, steps: list[str | int]) -> None:
    """Set the value at the path in `new` to the one in `old`, or take it out where `old` has none."""
    for step in _expanded(old, new, steps[0]):
        if len(steps) > 1:
            _carry(_at(old, step), _at(new, step), steps[1:])
        elif _at(old, step) is not None:
            _put(new, step, copy.deepcopy(_at(old, step)))
        elif isinstance(new, dict):
            new.pop(step, None)


def _expanded(old: Any, new: Any, step: str | int) -> list[str | int]:
    if step != EVERY:
        return [step]
    if isinstance(new, list):
        return list(range(len(new)))
    return sorted({*(old or {}), *(new or {})})


def _at(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def _put(value: Any, step: str | int, item: Any) -> None:
    exists = isinstance(value, dict) or (isinstance(step, int) and step < len(value))
    if exists:
        value[step] = item
