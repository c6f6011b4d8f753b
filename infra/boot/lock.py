"""Pins of a lock file: the packages of a dependency group, with their versions and hashes."""

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
    """The lock file lacks a package; the message names it and the command to run."""


@dataclass(frozen=True)
class Pin:
    """One package: its version, the hashes of its files, and the packages that require it."""

    name: str
    version: str
    hashes: tuple[str, ...]
    wanted_by: frozenset[str]

    def requirement(self) -> str:
        """Return the line of a requirements file."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={one}" for one in self.hashes)])


def canonical(name: str) -> str:
    """Return a package's name in the form of the lock file."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, Pin]:
    """Return the pins of a lock file by name. Text before the first pin is ignored."""
    found: dict[str, Pin] = {}
    for block in re.split(r"\n(?=[a-z0-9])", "\n" + text):
        if head := _PIN.match(block.lstrip("\n")):
            comments = filter(None, map(_VIA.match, block.splitlines()))
            wanted_by = frozenset(canonical(one[1]) for one in comments if one[1] != "via")
            found[head[1]] = Pin(head[1], head[2], tuple(_HASH.findall(block)), wanted_by)
    return found


def closure(roots: Iterable[str], locked: Mapping[str, Pin]) -> dict[str, Pin]:
    """Return the roots and their requirements, sorted by name. Raises LockError for a root without a pin."""
    missing = sorted({name for name in roots if name not in locked})
    if missing:
        raise LockError(f"requirements.lock has no pin for {', '.join(missing)}; run make lock.")
    reached = set(roots)
    while more := {name for name, pin in locked.items() if pin.wanted_by & reached} - reached:
        reached |= more
    return {name: locked[name] for name in sorted(reached)}


def group(root: Path, name: str) -> dict[str, Pin]:
    """Return the pins of one dependency group of the project, with the base. Raises LockError."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"][name]]
    roots = {canonical(re.split(r"[\[<>=!~; ]", one)[0]) for one in wanted}
    return closure(roots, pins((root / "requirements.lock").read_text()))
