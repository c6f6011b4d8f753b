"""Who is compared is compared with ours of the same round."""

from __future__ import annotations

from pathlib import Path

from benchmarks import peers, pgvector
from benchmarks.closed_loop import Loop
from benchmarks.peer import Asked
from benchmarks.pgvector import PgVector, Programs


def loop(searches: int, seconds: float = 1.0) -> Loop:
    return Loop(1.0, [seconds] * searches)


def test_ratios_are_of_the_same_round() -> None:
    turns = [[loop(100, 0.001), loop(50, 0.004)], [loop(10, 0.01), loop(5, 0.04)], [loop(300), loop(100, 4.0)]]
    figures = peers._figures("peer", 0.99, [turn[1] for turn in turns], turns)
    assert (figures["ours"], figures["least"], figures["most"]) == (2.0, 2.0, 3.0)
    assert (figures["per_second"], figures["ours_p95"]) == (50, 0.25)
    own = peers._figures("ours", 0.99, [turn[0] for turn in turns], turns)
    assert (own["ours"], own["least"], own["most"], own["ours_p95"]) == (1.0, 1.0, 1.0, 1.0)


class Answering(Programs):
    """Programs that answer without being there."""

    def __init__(self, folder: Path, rows: str) -> None:
        self.folder, self._rows, self.asked = folder, rows, [""]

    def sql(self, *statements: str) -> str:
        self.asked = list(statements)
        return self._rows

    def run(self, program: str, *arguments: str, cwd: Path | None = None, given: str | None = None) -> str:
        assert cwd is not None
        self.asked = [program, *arguments]
        (cwd / "pgbench_log.7").write_text("0 0 1500 0 1 2\n1 0 2500 0 1 2\n")
        (cwd / "pgbench_log.7.1").write_text("0 1 500 0 1 2\n")
        return ""


def test_rows_and_latencies_of_postgresql_are_read(tmp_path: Path) -> None:
    programs = Answering(tmp_path, "0|7\n0|3\n2|9\n")
    peer = PgVector(programs, Asked([[0.0]] * 3, 5, 4))  # type: ignore[arg-type]
    assert peer.rows() == [[7, 3], [], [9]]
    assert programs.asked == [pgvector.EVERY.format(k=5)]
    assert sorted(peer.turn(1.0).latencies) == [0.0005, 0.0015, 0.0025]
    assert programs.asked[:8] == ["pgbench", "-n", "-M", "prepared", "-c", "4", "-j", "1"]
    assert "LIMIT 5" in (tmp_path / "turn" / "search.sql").read_text()
