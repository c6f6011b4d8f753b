"""Custom vectors in a collection of a real fleet: ingested, asked by exact search, judged under load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.judge.tally import tally
from loadtests.run.evidence import read_run
from tests.wire.service_fleet import PROJECT, ServiceFleet, booted_fleet

Connect = Callable[[str], Any]
DIMS, ROWS, QUESTIONS = 24, 700, 40
RANDOM = np.random.default_rng(3)


@pytest.fixture(scope="module")
def fleet(connect: Connect, emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceFleet]:
    """A fleet of two shards with a replica each, whose own documents are texts."""
    with booted_fleet(connect, emulator, tmp_path_factory.mktemp("fleet"), shards=2, replicas=1) as one:
        yield one


def loadtests(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vectorfleet", *arguments]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180)


def test_a_collection_of_vectors_is_load_tested(fleet: ServiceFleet, tmp_path: Path) -> None:
    fleet.client().create_collection("pictures", dims=DIMS, index={"metric": "l2"})
    chosen = ["--endpoint", fleet.routers[0].url, "--collection", "pictures"]
    vectors = RANDOM.normal(0, 5, (ROWS, DIMS)).astype(np.float32)
    with (tmp_path / "pictures.jsonl").open("w") as lines:
        for row, vector in enumerate(vectors):
            lines.write(json.dumps({"source_id": f"p/{row}", "vector": vector.tolist()}) + "\n")
    arriving = [{"vector": vector.tolist()} for vector in vectors[:20] + 100]
    (tmp_path / "arriving.jsonl").write_text("".join(json.dumps(one) + "\n" for one in arriving))
    np.save(tmp_path / "questions.npy", vectors[:QUESTIONS] + RANDOM.normal(0, 0.5, (QUESTIONS, DIMS)))
    for wanted in ((ROWS, 0), (0, ROWS)):
        done = loadtests(tmp_path, "ingest", *chosen, "--corpus", "pictures.jsonl", "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["written"], told["unchanged"]) == wanted
    truth = loadtests(tmp_path, "load", "truth", "truth.jsonl", *chosen, "--vectors", "questions.npy")
    assert truth.returncode == 0, truth.stderr
    load = ["--rate", "50", "--window-seconds", "3", "--writes-per-second", "5", "--documents", "arriving.jsonl"]
    gate = loadtests(
        tmp_path,
        "load",
        "gate",
        *chosen,
        *load,
        "--queries",
        "truth.jsonl",
        "--runs",
        "1",
        "--evidence",
        "evidence",
        "--json",
    )
    # PASS, FAIL, UNDECIDED or VOID: how fast this machine is does not matter here.
    assert gate.returncode in (0, 1, 2, 3), gate.stderr
    (folder,) = (path for path in (tmp_path / "evidence").glob("run-*") if path.is_dir())
    run = read_run(folder)
    outcomes = [arrival.outcome for arrival in run.arrivals]
    assert outcomes.count("answered") > 0.9 * len(outcomes) > 50
    counts = tally(run)
    assert counts.judged > 50
    assert (counts.recall or 0.0) > 0.95
    assert {batch.status for batch in run.writes} == {200}
    held = {one["name"]: one["documents"] for one in fleet.client().collections()["collections"]}
    assert held["default"] == 0
