"""The deployer's state: each resource that it made, on disk.

`deploy.json` is the folded state. `deploy.journal` has one synced line for each change since then, so a kill at any
instant loses no resource. A create is announced before it starts. A resource that was announced and never recorded may
exist, and the next start looks for it and deletes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from rehearsal.deployer.errors import DeployError, RefusedError

STATE_VERSION = 1
STATE_FILE = "deploy.json"
JOURNAL_FILE = "deploy.journal"
OUTPUTS_FILE = "outputs.json"

Properties = dict[str, Any]


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource as it was last applied. `id` is empty while the resource is only announced."""

    urn: str
    type: str
    name: str
    id: str = ""
    region: str = ""
    inputs: Properties = msgspec.field(default_factory=dict)
    outputs: Properties = msgspec.field(default_factory=dict)
    named_by_deployer: bool = False
    dependencies: tuple[str, ...] = ()
    property_dependencies: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool = False
    order: int = 0

    @property
    def label(self) -> str:
        """Return type and logical name, as errors name the resource."""
        return f"{self.type} {self.name}"


class Snapshot(msgspec.Struct, kw_only=True):
    """The folded state. `condemned` are replaced resources that wait for their deletion."""

    version: int = STATE_VERSION
    serial: int = 0
    project: str = ""
    stack: str = ""
    settings: dict[str, str] = msgspec.field(default_factory=dict)
    live: dict[str, Resource] = msgspec.field(default_factory=dict)
    condemned: list[Resource] = msgspec.field(default_factory=list)
    announced: dict[str, Resource] = msgspec.field(default_factory=dict)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the journal."""

    serial: int
    op: str
    resource: Resource
    formerly: str = ""


def apply_change(snapshot: Snapshot, change: Change) -> None:
    """Fold one change into the snapshot. A change that it has already, after a kill while folding, does nothing."""
    if change.serial <= snapshot.serial:
        return
    snapshot.serial = change.serial
    resource = change.resource
    if change.op == "announce":
        snapshot.announced[resource.urn] = resource
    elif change.op == "withdraw":
        snapshot.announced.pop(resource.urn, None)
    elif change.op == "record":
        old = snapshot.live.get(resource.urn)
        if old is not None and old.id != resource.id:
            snapshot.condemned.append(old)
        snapshot.live[resource.urn] = resource
        snapshot.announced.pop(resource.urn, None)
    elif change.op == "adopt":
        snapshot.live.pop(change.formerly, None)
        snapshot.live[resource.urn] = resource
    elif change.op == "forget":
        live = snapshot.live.get(resource.urn)
        if live is not None and live.id == resource.id:
            del snapshot.live[resource.urn]
        snapshot.condemned = [r for r in snapshot.condemned if (r.urn, r.id) != (resource.urn, resource.id)]
    else:
        raise DeployError(f"the journal holds the unknown operation {change.op!r}; run the version that wrote it")


class State:
    """The state under one root folder. `locked` allows one process at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self.snapshot = _load(root)
        self._journal: IO[bytes] | None = None

    def __enter__(self) -> State:
        self.fold()
        return self

    def __exit__(self, *_: object) -> None:
        if self._journal is not None:
            self.fold()
            self._close()

    def announce(self, resource: Resource) -> None:
        """Record that a create is about to start, before any call."""
        self._write("announce", resource)

    def withdraw(self, resource: Resource) -> None:
        """Record that an announced create left nothing behind."""
        self._write("withdraw", resource)

    def record(self, resource: Resource) -> None:
        """Record a resource. A live one of the same URN with another id then waits for its deletion."""
        self._write("record", resource)

    def adopt(self, resource: Resource, formerly: str) -> None:
        """Move a live resource to its new URN in one step, so that the old URN never looks deleted."""
        self._write("adopt", resource, formerly)

    def forget(self, resource: Resource) -> None:
        """Drop a resource that no longer exists or is retained."""
        self._write("forget", resource)

    def next_order(self) -> int:
        """Return a number above that of each resource so far."""
        with self._lock:
            known = [*self.snapshot.live.values(), *self.snapshot.announced.values()]
            return 1 + max((resource.order for resource in known), default=0)

    def fold(self) -> None:
        """Write the state in one piece and start an empty journal."""
        with self._lock:
            self.root.mkdir(parents=True, exist_ok=True)
            write_atomically(self.root / STATE_FILE, msgspec.json.format(msgspec.json.encode(self.snapshot)))
            self._close()
            self._journal = (self.root / JOURNAL_FILE).open("wb")

    def erase(self) -> None:
        """Remove every file of the state."""
        with self._lock:
            self._close()
            for name in (JOURNAL_FILE, STATE_FILE, OUTPUTS_FILE):
                (self.root / name).unlink(missing_ok=True)

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _write(self, op: str, resource: Resource, formerly: str = "") -> None:
        with self._lock:
            change = Change(serial=self.snapshot.serial + 1, op=op, resource=resource, formerly=formerly)
            if self._journal is None:
                raise DeployError("the state is closed, so a change would be lost; report this as a defect")
            self._journal.write(msgspec.json.encode(change) + b"\n")
            self._journal.flush()
            os.fsync(self._journal.fileno())
            apply_change(self.snapshot, change)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that a reader and a power cut find either the old or the new content."""
    draft = path.with_name(path.name + ".draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keep every other apply out of this root. Raise RefusedError if one is running."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "deploy.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(
                f"another deployment is running on {root}; wait for it to end or give this one its own --root"
            ) from None
        yield


def _load(root: Path) -> Snapshot:
    path = root / STATE_FILE
    try:
        snapshot = msgspec.json.decode(path.read_bytes(), type=Snapshot) if path.exists() else Snapshot()
    except msgspec.MsgspecError as error:
        raise DeployError(
            f"{path} cannot be read ({error}); restore it, or remove it with the resources that it lists"
        ) from None
    if snapshot.version != STATE_VERSION:
        raise DeployError(
            f"{path} has version {snapshot.version}, this deployer reads {STATE_VERSION}; run the version that wrote it"
        )
    for change in _journal_of(root / JOURNAL_FILE):
        apply_change(snapshot, change)
    return snapshot


def _journal_of(path: Path) -> Iterator[Change]:
    """Yield the journal's changes. A kill may cut off the last line, before the deployer acted on it."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    for line in lines:
        if line.endswith(b"\n"):
            yield msgspec.json.decode(line, type=Change)
