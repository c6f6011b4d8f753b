"""A runner that is killed in the middle of a step, and its successor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from runbooks.runner.page import read_page
from runbooks.runner.run import Runner
from runbooks.runner.shell import Shell, start_ticks
from runbooks.verdict import Verdict

ROOT = Path(__file__).resolve().parents[2]
PAGE = """\
# RB-07 Something
- Use when: the alarm `…-x` rings.
- Customer sees: errors.
- Do not use when: never.
- Target: RTO 10m, RPO 0s

## 1. First

```sh
echo 1 >> trace
```

- Expect: exit 0
- Budget: 10s
- If not: go to 2

## 2. Second

```sh
echo 2 >> trace
test -f let-go || { echo $$ > group; sleep 600; }
```

- Expect: exit 0
- Budget: 20m
- If not: go to 1, at most 1 times, then go to 2
- Then: done
"""
RUN = """
import sys
from pathlib import Path
from runbooks.runner.page import read_page
from runbooks.runner.run import Runner
from runbooks.runner.shell import Shell
folder = Path(sys.argv[1])
Runner(read_page(folder / "RB-07-x.md"), Shell(folder), folder / "journal.jsonl").run()
"""


def until_file(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists() or not path.read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_runner_is_continued_and_what_it_left_running_is_ended(tmp_path: Path) -> None:
    (tmp_path / "RB-07-x.md").write_text(PAGE)
    runner = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], cwd=ROOT)
    until_file(tmp_path / "group")
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    left_over = int((tmp_path / "group").read_text())
    assert start_ticks(left_over) is not None
    (tmp_path / "let-go").touch()
    page = read_page(tmp_path / "RB-07-x.md")
    done = Runner(page, Shell(tmp_path), tmp_path / "journal.jsonl").run(resume=True)
    assert done.verdict is Verdict.PASS
    assert (tmp_path / "trace").read_text().split() == ["1", "2", "2"]
    assert [visit.step for visit in done.visits] == [1, 2]
    assert_ends(left_over)


def assert_ends(pid: int) -> None:
    """Gone, or dead and waiting for a parent that collects it."""
    deadline = time.monotonic() + 10
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.02)
