from __future__ import annotations

import json
from pathlib import Path

from loadtests.tape import Tape


def test_tape_counts_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "arrivals.jsonl"
    tape = Tape(path, 200.0)
    tape.wind()
    assert tape.searches == 0
    fast, slow = {"outcome": "answered", "response_ms": 9.0}, {"outcome": "answered", "response_ms": 200.0}
    path.write_text(json.dumps(fast) + "\n" + json.dumps(slow)[:10])
    tape.wind()
    assert (tape.searches, tape.slow) == (1, 0)
    unsent = {"outcome": "unsent", "response_ms": None}
    path.write_text("\n".join(map(json.dumps, (fast, slow, unsent))) + "\n")
    tape.wind()
    tape.wind()
    assert (tape.searches, tape.slow) == (3, 2)
