"""Settings of a drill, and the files that it writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from infra.facts import slo
from runbooks.pages.page import PAGES

RB_02 = PAGES / "RB-02-a-shard-is-lost.md"


@dataclass(frozen=True)
class DrillSettings:
    """Settings of a drill on a lost shard.

    The default slot is that of `read_stack`.
    `baseline` is the file that `vectorfleet golden --save` wrote before; with None the drill writes it.
    `load` is a command that runs beside the drill; it must still run when the fault is injected.
    `golden` replaces the command that asks the golden set. It takes `--save FILE` and `--baseline FILE`, prints JSON,
    and exits with 0 when the answers equal the baseline's, with 1 when they differ.
    `rto_target_seconds` replaces the page's target. Commands run in `folder`.
    """

    outputs: Path
    report: Path = Path(".rehearsal/report/drill")
    page: Path = RB_02
    shard: int = 0
    baseline: Path | None = None
    aws_endpoint: str | None = None
    slot: str = ""
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


class DrillFiles:
    """The files of one drill, all in its report folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.result = folder / "drill.json"
        self.ledger = folder / "ledger.jsonl"
        self.journal = folder / "journal.jsonl"
        self.observer_log = folder / "observer.log"
        self.load_log = folder / "load.log"
        self.baseline = folder / "golden-before.json"
        self.golden = folder / "golden-after.json"

    @property
    def paths(self) -> list[Path]:
        return [path for path in vars(self).values() if path != self.folder]

    def clear(self) -> None:
        """Make the folder and remove the files of an earlier drill."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.paths:
            path.unlink(missing_ok=True)
