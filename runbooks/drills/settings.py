"""What a drill is told, and the files that it writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from infra import slo

PAGES = Path(__file__).resolve().parent.parent
RB_02 = PAGES / "RB-02-a-shard-is-lost.md"


@dataclass(frozen=True)
class DrillSettings:
    """Settings of a drill on a lost shard.

    `baseline` is what `python -m loadtests golden --save` wrote before; None lets the drill ask for it.
    `load` is a command that runs beside the drill; it must still run when the fault is injected.
    `golden` replaces the command that asks the golden set: it understands `--save FILE` and `--baseline FILE`,
    prints JSON and exits 0 when the answers equal the baseline's, 1 when they differ.
    `rto_target_seconds` replaces the page's target. `folder` is where commands run.
    """

    outputs: Path
    report: Path = Path(".rehearsal/report/drill")
    page: Path = RB_02
    shard: int = 0
    baseline: Path | None = None
    aws_endpoint: str | None = None
    window_seconds: float = 60.0
    interval_seconds: float = 0.25
    slow_seconds: float = slo.target("retrieval_p95_ms") / 1000
    healthy_canaries: int = 40
    healthy_within_seconds: float = 120.0
    recover_within_seconds: float = 1800.0
    audit_within_seconds: float = 60.0
    rto_target_seconds: float | None = None
    load: tuple[str, ...] = ()
    golden: tuple[str, ...] | None = None
    allow_remote: bool = False
    folder: Path = field(default_factory=Path.cwd)

    @property
    def files(self) -> DrillFiles:
        return DrillFiles(self.report)


@dataclass(frozen=True)
class DrillFiles:
    """The files of one drill, all in its report folder."""

    folder: Path

    @property
    def result(self) -> Path:
        return self.folder / "drill.json"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.jsonl"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    @property
    def observer_log(self) -> Path:
        return self.folder / "observer.log"

    @property
    def load_log(self) -> Path:
        return self.folder / "load.log"

    @property
    def baseline(self) -> Path:
        return self.folder / "golden-before.json"

    @property
    def golden(self) -> Path:
        return self.folder / "golden-after.json"

    def clear(self) -> None:
        """Make the folder and remove what an earlier drill left there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in (
            self.result,
            self.ledger,
            self.journal,
            self.observer_log,
            self.load_log,
            self.baseline,
            self.golden,
        ):
            path.unlink(missing_ok=True)
