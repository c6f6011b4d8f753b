from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from loadtests.judge.tally import tally
from loadtests.run.evidence import Arrival, EvidenceError, EvidenceFolder, Ranking, WriteBatch, read_run
from tests.loadtests.samples import evidence

WRITES = (WriteBatch(0, 0.5, 5, 200, 0.1, 3), WriteBatch(5, 1.5, 5, 0, None))


def kept(folder: Path) -> EvidenceFolder:
    run = evidence(writes=WRITES)
    written = EvidenceFolder(folder)
    written.register(run.registration)
    for name, records in (("arrivals", run.arrivals), ("floor", run.probes), ("writes", run.writes)):
        written.add(name, [asdict(record) for record in records])
    written.close(run.generators)
    return written


def test_what_is_kept_is_read(tmp_path: Path) -> None:
    kept(tmp_path / "run")
    assert read_run(tmp_path / "run") == evidence(writes=WRITES)


def test_folder_is_used_once(tmp_path: Path) -> None:
    kept(tmp_path)
    with pytest.raises(EvidenceError, match="already holds"):
        EvidenceFolder(tmp_path).register(evidence().registration)


def test_run_that_broke_off_keeps_its_whole_lines(tmp_path: Path) -> None:
    kept(tmp_path)
    (tmp_path / "generators.json").unlink()
    with (tmp_path / "arrivals.jsonl").open("a") as file:
        file.write('{"number": 9')
    run = read_run(tmp_path)
    assert run.generators == ()
    assert run.arrivals == evidence().arrivals


def test_other_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"holds no run\.json"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(EvidenceError, match="not the registration"):
        read_run(tmp_path)


def test_only_a_stored_batch_is_acknowledged() -> None:
    assert [batch.acknowledged for batch in WRITES] == [5, 0]


def test_evidence_of_the_version_before_is_read(tmp_path: Path) -> None:
    """It has a recall instead of a ranking, and no instant at which a batch was sent."""
    kept(tmp_path)
    arrival = {"number": 0, "offset_seconds": 1.5, "query": 0, "outcome": "answered", "recall": 0.9}
    batch = {"first": 0, "offset_seconds": 1.5, "documents": 5, "status": 200, "seconds": 0.1, "position": 3}
    (tmp_path / "arrivals.jsonl").write_text(json.dumps(arrival) + "\n")
    (tmp_path / "writes.jsonl").write_text(json.dumps(batch) + "\n")
    run = read_run(tmp_path)
    assert (tally(run).judged, tally(run).recall, tally(run).write_errors) == (1, 0.9, 0)


def test_an_answer_is_kept_with_its_ranking(tmp_path: Path) -> None:
    answer = Arrival(0, 1.5, 0, "answered", 200, ranking=Ranking(10, (0, 2), 1, ("load/1/0",)), answered_at=5.5)
    kept(tmp_path).add("arrivals", [asdict(answer)])
    assert read_run(tmp_path).arrivals[-1] == answer
