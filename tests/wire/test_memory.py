"""The memory of a process with each structure against the measured model, on which plans rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infra.facts.index_parameters import IndexType
from infra.planning.memory import Rows, index_bytes
from service.index import bench
from service.index.bench import BenchSetup, Contender
from service.storage.builds import IndexParameters

SIZES = (20_000, 60_000)
QUERIES = 20
WITHIN = 0.05


def private_bytes(folder: Path, rows: int, dims: int, index: IndexType) -> int:
    """Return the memory of a process that loads such a structure and searches in it, libraries included."""
    file = folder / f"{rows}.npy"
    np.save(file, bench.clustered(rows + QUERIES, dims))
    question = BenchSetup(file, queries=QUERIES, k=10, rounds=1, round_seconds=0.01, threads=2)
    entrant = Contender(index, IndexParameters(index, "cosine", 16, 100, 50), "")
    (measured,) = bench.measure(question, [entrant], lambda _: None)
    return measured.private_bytes


@pytest.mark.parametrize("index", ["hnsw", "ivf"])
@pytest.mark.parametrize("dims", [128, 384])
def test_more_rows_take_as_much_more_memory_as_the_model_says(tmp_path: Path, dims: int, index: IndexType) -> None:
    # The difference of two sizes: what libraries take once is the model's term for the process.
    few, many = (private_bytes(tmp_path, rows, dims, index) for rows in SIZES)
    measured = many - few
    modelled = index_bytes(Rows(SIZES[1], dims, index)) - index_bytes(Rows(SIZES[0], dims, index))
    assert abs(measured / modelled - 1) <= WITHIN, (measured, modelled)
