"""A lock file's pins: which packages belong to one group of the project, with their versions and hashes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_PIN = re.compile(r"^([a-z0-9][a-z0-9-]*)==(\S+)")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")
_VIA = re.compile(r"^\s+#\s+(?:via\s+)?(\S+)")


class LockError(Exception):
    """The lock doesn't hold what the project asks for; the message says what and which command mends it."""


@dataclass(frozen=True)
class Pin:
    """One package: its version, the hashes of its files, and the packages that ask for it."""

    name: str
    version: str
    hashes: tuple[str, ...]
    wanted_by: frozenset[str]

    def requirement(self) -> str:
        """The pin as a requirements file states it."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={one}" for one in self.hashes)])


def canonical(name: str) -> str:
    """A package's name as the lock writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, Pin]:
    """The pins of a lock file, by name. Text before the first pin is left out."""
    found: dict[str, Pin] = {}
    for block in re.split(r"\n(?=[a-z0-9])", "\n" + text):
        if head := _PIN.match(block.lstrip("\n")):
            comments = filter(None, map(_VIA.match, block.splitlines()))
            wanted_by = frozenset(canonical(one[1]) for one in comments if one[1] != "via")
            found[head[1]] = Pin(head[1], head[2], tuple(_HASH.findall(block)), wanted_by)
    return found


def closure(roots: Iterable[str], locked: Mapping[str, Pin]) -> dict[str, Pin]:
    """The roots and everything that they bring along, sorted by name. Raises LockError for a root without a pin."""
    missing = sorted({name for name in roots if name not in locked})
    if missing:
        raise LockError(f"requirements.lock has no pin for {', '.join(missing)}; run make lock.")
    reached = set(roots)
    while more := {name for name, pin in locked.items() if pin.wanted_by & reached} - reached:
        reached |= more
    return {name: locked[name] for name in sorted(reached)}


def group(root: Path, name: str) -> dict[str, Pin]:
    """The pins that one dependency group of the project needs, the base included. Raises LockError."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"][name]]
    roots = {canonical(re.split(r"[\[<>=!~; ]", one)[0]) for one in wanted}
    return closure(roots, pins((root / "requirements.lock").read_text()))
