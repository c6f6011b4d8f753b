"""The evidence folder of one run: everything a verdict can be derived from again, with no service at hand.

``run.json``        what was registered before the first request: settings, seed, workers, endpoint
``arrivals.jsonl``  one line per search that was due
``floor.jsonl``     one line per request to the null endpoint
``writes.jsonl``    one line per batch of documents written
``generators.json`` one entry per worker that worked to the end: its CPU, its machine
``present.json``    ids of other load tests' and drills' documents that the fleet held, by a look-up
``verdict.json``    what was concluded (not read back by a judgement)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from loadtests.arrivals import Arrival, Probe
from loadtests.machine import Generator
from loadtests.settings import Settings

Record = TypeVar("Record", Arrival, Probe, "WriteBatch")


class EvidenceError(ValueError):
    """A folder that is no evidence of a run; the message is a sentence."""


@dataclass(frozen=True)
class WriteBatch:
    """One write of ``documents`` documents, the first of them number ``first``; status 0 means no answer.

    ``sent_at`` is in Unix seconds and None when nothing was sent. ``reason`` says why there is no proper answer;
    ``raised`` that it is an error of the generator itself.
    """

    first: int
    offset_seconds: float
    documents: int
    status: int
    seconds: float | None
    position: int | None = None
    reason: str = ""
    sent_at: float | None = None
    lag_ms: float | None = None
    stalled_ms: float = 0.0
    raised: bool = False

    @property
    def acknowledged(self) -> int:
        """Documents known to be stored."""
        return self.documents if self.status == 200 else 0


@dataclass(frozen=True)
class Registration:
    """What a run fixes before its first request."""

    endpoint: str
    settings: Settings
    workers: int
    truth: bool
    started_at: str


@dataclass(frozen=True)
class RunEvidence:
    """All that one run left behind."""

    registration: Registration
    arrivals: tuple[Arrival, ...] = ()
    probes: tuple[Probe, ...] = ()
    writes: tuple[WriteBatch, ...] = ()
    generators: tuple[Generator, ...] = ()
    present: tuple[str, ...] = ()


class EvidenceFolder:
    """Writes one run's evidence; records are appended as they come, so a killed run leaves what it had."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def register(self, registration: Registration) -> None:
        """Start the folder. Raises EvidenceError when it already holds a run."""
        self.path.mkdir(parents=True, exist_ok=True)
        if (self.path / "run.json").exists():
            raise EvidenceError(f"{self.path} already holds the evidence of a run; name another folder.")
        for name in ("arrivals", "floor", "writes"):
            (self.path / f"{name}.jsonl").touch()
        entry = asdict(registration) | {"settings": registration.settings.values()}
        write_json(self.path / "run.json", entry)

    def add(self, name: str, records: Iterable[Mapping[str, Any]]) -> None:
        """Append records to ``<name>.jsonl``."""
        lines = "".join(json.dumps(record) + "\n" for record in records)
        if lines:
            with (self.path / f"{name}.jsonl").open("a", encoding="utf-8") as file:
                file.write(lines)

    def close(self, generators: Iterable[Generator]) -> None:
        """Write down which workers worked to the end."""
        write_json(self.path / "generators.json", [asdict(generator) for generator in generators])

    def keep_present(self, source_ids: Iterable[str]) -> None:
        """Write down which documents of others the fleet held."""
        write_json(self.path / "present.json", sorted(source_ids))


def read_run(path: Path) -> RunEvidence:
    """Read a run's folder; a run that broke off has fewer generators than workers. Raises EvidenceError."""
    generators, present = path / "generators.json", path / "present.json"
    return RunEvidence(
        registration=read_registration(path),
        arrivals=tuple(_records(path / "arrivals.jsonl", Arrival)),
        probes=tuple(_records(path / "floor.jsonl", Probe)),
        writes=tuple(_records(path / "writes.jsonl", WriteBatch)),
        generators=tuple(Generator(**entry) for entry in _read_json(generators)) if generators.exists() else (),
        present=tuple(_read_json(present)) if present.exists() else (),
    )


def read_registration(path: Path) -> Registration:
    """Read what a run registered. Raises EvidenceError when there is no run in ``path``."""
    entry = _read_json(path / "run.json")
    try:
        return Registration(**(entry | {"settings": Settings.from_values(entry["settings"])}))
    except (TypeError, KeyError) as error:
        raise EvidenceError(f"{path / 'run.json'} is not the registration of a run: {error}.") from error


def write_json(path: Path, value: object) -> None:
    """Replace ``path`` by ``value`` in one step, so that a reader never sees half of it."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EvidenceError(f"{path.parent} holds no {path.name}, so it is not the evidence of a run.") from error
    except json.JSONDecodeError as error:
        raise EvidenceError(f"{path} is not JSON: {error}.") from error


def _records(path: Path, kind: type[Record]) -> Iterator[Record]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return
    for line in lines:
        # Only a run killed while writing leaves a line without its end.
        if line.endswith("\n"):
            yield msgspec.json.decode(line, type=kind)
