"""What the deployer made and remembers, on disk before it is believed.

`deploy.json` is the folded state; `deploy.journal` holds one synced line for each change since it was written, so
that a kill at any instant loses no resource. A create is announced before it starts: what was announced and
never recorded may exist, and is looked for and removed at the next start.
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

from rehearsal.deploy.errors import DeployError, RefusedError

STATE_VERSION = 1
STATE_FILE = "deploy.json"
JOURNAL_FILE = "deploy.journal"
OUTPUTS_FILE = "outputs.json"

Properties = dict[str, Any]


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource as it was last applied; `id` is empty while it is only announced."""

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
        """Type and logical name, as error lines name a resource."""
        return f"{self.type} {self.name}"


class Snapshot(msgspec.Struct, kw_only=True):
    """The folded state: live resources, replaced ones that still wait for deletion, announced ones."""

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
    """Fold one change into the snapshot; one that is in it already (a kill while folding) changes nothing."""
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
        raise DeployError(f"the journal holds an unknown operation {change.op!r}; it was written by another version")


class State:
    """The state under one root folder, held by one process at a time."""

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
        """Say that a create is about to start, before any call is made."""
        self._write("announce", resource)

    def withdraw(self, resource: Resource) -> None:
        """Say that an announced create left nothing behind."""
        self._write("withdraw", resource)

    def record(self, resource: Resource) -> None:
        """Remember a resource; a live one of the same URN and another id waits for deletion from now on."""
        self._write("record", resource)

    def adopt(self, resource: Resource, formerly: str) -> None:
        """Move a live resource to the URN it has now, in one step: the old URN must not look deleted."""
        self._write("adopt", resource, formerly)

    def forget(self, resource: Resource) -> None:
        """Drop a resource that no longer exists or is left to itself."""
        self._write("forget", resource)

    def next_order(self) -> int:
        """A number above every resource recorded so far."""
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
        """Remove every file of the state: nothing is left to remember."""
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
                raise DeployError("the state is closed; a change after its end would be lost")
            self._journal.write(msgspec.json.encode(change) + b"\n")
            self._journal.flush()
            os.fsync(self._journal.fileno())
            apply_change(self.snapshot, change)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that a reader sees the old or the new content and a power cut leaves one of them."""
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
def held(root: Path) -> Iterator[None]:
    """Keep every other apply out of this root; RefusedError when one is running."""
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
        raise DeployError(f"{path} cannot be read ({error}); restore it, or remove it with what it describes") from None
    if snapshot.version != STATE_VERSION:
        raise DeployError(f"{path} has version {snapshot.version}, this deployer reads version {STATE_VERSION}")
    for change in _journal_of(root / JOURNAL_FILE):
        apply_change(snapshot, change)
    return snapshot


def _journal_of(path: Path) -> Iterator[Change]:
    """The journal's changes; a last line that was cut off by a kill was never acted upon and is left out."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    for line in lines:
        if line.endswith(b"\n"):
            yield msgspec.json.decode(line, type=Change)
