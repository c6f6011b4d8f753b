"""Places of 16-byte keys in sorted arrays: 24 bytes a key, without an object for each, since there are millions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

KEY_BYTES = 16
ARROW_KEY = pa.binary(KEY_BYTES)
NOWHERE = -1

Keys = npt.NDArray[np.bytes_]
Places = npt.NDArray[np.int64]


class Run(NamedTuple):
    """Sorted keys, and the place of each as one number; of equal keys the newest is last."""

    keys: Keys
    places: Places


def sorted_run(keys: Keys, places: Places) -> Run:
    """Return the run of keys with their places, which are given from old to new."""
    order = np.argsort(keys, kind="stable")
    return Run(keys[order], places[order])


def to_keys(keys: Sequence[bytes]) -> Keys:
    """Return keys of KEY_BYTES bytes as one array."""
    return np.array(keys, f"S{KEY_BYTES}")


def each_key(keys: Keys) -> list[bytes]:
    """Return the keys one by one, with the zero bytes at their ends, which numpy leaves out."""
    body = keys.tobytes()
    return [body[at : at + KEY_BYTES] for at in range(0, len(body), KEY_BYTES)]


def to_column(keys: Keys) -> pa.Array:
    """Return keys as a column of ARROW_KEY."""
    return pa.FixedSizeBinaryArray.from_buffers(ARROW_KEY, len(keys), [None, pa.py_buffer(keys.tobytes())])


def from_column(column: pa.Array) -> Keys:
    """Return a column of ARROW_KEY as keys, over the same memory."""
    return np.frombuffer(column.buffers()[1], f"S{KEY_BYTES}", len(column), column.offset * KEY_BYTES)


class SortedKeys:
    """Keys with their places, in a few runs from old to new. Not thread-safe."""

    def __init__(self) -> None:
        self._runs: list[Run] = []

    def __len__(self) -> int:
        return sum(len(run.keys) for run in self._runs)

    def add(self, run: Run) -> None:
        """Add newer keys. Runs of similar sizes are merged, so that there are few and each key is moved seldom."""
        if not len(run.keys):
            return
        while self._runs and len(self._runs[-1].keys) <= 2 * len(run.keys):
            one = self._runs.pop()
            run = sorted_run(np.concatenate([one.keys, run.keys]), np.concatenate([one.places, run.places]))
        self._runs.append(run)

    def find(self, keys: Sequence[bytes]) -> list[int]:
        """Return the newest place of each key, or NOWHERE."""
        found = [NOWHERE] * len(keys)
        for run in reversed(self._runs):
            wanted = [number for number, place in enumerate(found) if place == NOWHERE]
            if not wanted:
                break
            asked = to_keys([keys[number] for number in wanted])
            at = np.maximum(np.searchsorted(run.keys, asked, side="right") - 1, 0)
            for number, place, hit in zip(wanted, run.places[at].tolist(), run.keys[at] == asked, strict=True):
                if hit:
                    found[number] = place
        return found

    def keep(self, wanted: Callable[[Places], npt.NDArray[np.bool_]]) -> None:
        """Forget the keys whose places are not `wanted`."""
        masks = [wanted(run.places) for run in self._runs]
        runs = [Run(run.keys[mask], run.places[mask]) for run, mask in zip(self._runs, masks, strict=True)]
        self._runs = [run for run in runs if len(run.keys)]
