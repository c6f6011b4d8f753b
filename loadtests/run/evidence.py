"""The evidence folder of a run: all that a verdict is derived from, without the service.

``run.json``        the registration, written before the first request: settings, seed, workers, endpoint
``arrivals.jsonl``  a line per search that was due
``floor.jsonl``     a line per request to the null endpoint
``writes.jsonl``    a line per batch of documents written
``generators.json`` an entry per worker that worked to the end: its CPU, its machine
``present.json``    ids of other load tests' and drills' documents that the fleet held, by a look-up
``verdict.json``    the verdict, which no judgement reads back
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from loadtests.errors import LoadTestError
from loadtests.run.settings import Settings

Outcome = Literal["answered", "failed", "timeout", "unsent", "raised"]
Record = TypeVar("Record", "Arrival", "Probe", "WriteBatch")


class EvidenceError(LoadTestError):
    """A folder that does not hold the evidence of a run."""


@dataclass(frozen=True)
class Ranking:
    """An answer compared with the truth of its question.

    ``found`` are the places in the truth, of ``places``, whose documents the answer has. ``beside`` counts the other
    documents that the exact answer had too when the truth was made. ``others`` are left to be explained.
    """

    places: int
    found: tuple[int, ...]
    beside: int = 0
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arrival:
    """The record of one planned search.

    ``lag_ms`` counts from the intended instant to the first byte sent, ``response_ms`` from the intended instant to the
    end, ``service_ms`` from sending to the end; None if there is no such instant. During ``stalled_ms`` of that the
    generator itself was stalled. A search that ``raised`` met an error of the generator, so it says nothing about the
    service. ``reason`` says why there is no proper answer. A ``short`` answer has fewer hits than it must have.
    ``ranking`` is None if the truth is unknown; evidence of older versions has a ``recall`` instead.
    """

    number: int
    offset_seconds: float
    query: int
    outcome: Outcome
    status: int = 0
    lag_ms: float | None = None
    response_ms: float | None = None
    service_ms: float | None = None
    recall: float | None = None
    partial: bool = False
    short: bool = False
    ranking: Ranking | None = None
    answered_at: float | None = None
    stalled_ms: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Probe:
    """A request to the null endpoint; ``response_ms`` counts from the intended instant, None without an answer."""

    number: int
    offset_seconds: float
    response_ms: float | None


@dataclass(frozen=True)
class WriteBatch:
    """A write of ``documents`` documents, the first of them number ``first``; status 0 means no answer.

    ``sent_at`` is in Unix seconds, None if nothing was sent. ``reason`` says why there is no proper answer; ``raised``
    marks an error of the generator itself.
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
class GeneratorReadings:
    """Readings of a worker that worked to the end; ``cpu_share`` is of one core, ``spin_*_ms`` CPU of fixed work."""

    share: int
    cpu_share: float
    spin_before_ms: float
    spin_after_ms: float
    steal_share: float
    pressure_share: float


@dataclass(frozen=True)
class Registration:
    """The plan of a run, fixed before its first request."""

    endpoint: str
    settings: Settings
    workers: int
    truth: bool
    started_at: str


@dataclass(frozen=True)
class RunEvidence:
    """The evidence of one run."""

    registration: Registration
    arrivals: tuple[Arrival, ...] = ()
    probes: tuple[Probe, ...] = ()
    writes: tuple[WriteBatch, ...] = ()
    generators: tuple[GeneratorReadings, ...] = ()
    present: tuple[str, ...] = ()


class EvidenceFolder:
    """The writer of a run's evidence; it appends records as they come, so a killed run leaves its records."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def register(self, registration: Registration) -> None:
        """Start the folder. Raises EvidenceError if it already holds a run."""
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

    def close(self, generators: Iterable[GeneratorReadings]) -> None:
        """Write the readings of the workers that worked to the end."""
        write_json(self.path / "generators.json", [asdict(generator) for generator in generators])

    def keep_present(self, source_ids: Iterable[str]) -> None:
        """Write the ids of other load tests' and drills' documents that the fleet held."""
        write_json(self.path / "present.json", sorted(source_ids))


def read_run(path: Path) -> RunEvidence:
    """Return a run's evidence; a run that broke off has fewer generators than workers. Raises EvidenceError."""
    generators, present = path / "generators.json", path / "present.json"
    return RunEvidence(
        registration=_read_registration(path),
        arrivals=tuple(_records(path / "arrivals.jsonl", Arrival)),
        probes=tuple(_records(path / "floor.jsonl", Probe)),
        writes=tuple(_records(path / "writes.jsonl", WriteBatch)),
        generators=tuple(GeneratorReadings(**entry) for entry in _read_json(generators)) if generators.exists() else (),
        present=tuple(_read_json(present)) if present.exists() else (),
    )


def _read_registration(path: Path) -> Registration:
    entry = _read_json(path / "run.json")
    try:
        return Registration(**(entry | {"settings": Settings.from_values(entry["settings"])}))
    except (TypeError, KeyError) as error:
        raise EvidenceError(f"{path / 'run.json'} is not the registration of a run: {error}.") from error


def new_folder(label: str) -> Path:
    """Return the default place of evidence, named by the time and a label."""
    return Path(".rehearsal") / "load" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{label}"


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
        # Only a run that was killed while it wrote leaves a line without its end.
        if line.endswith("\n"):
            yield msgspec.json.decode(line, type=kind)
