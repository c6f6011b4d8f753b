"""A runner that is killed in the middle of a step, and its successor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from runbooks.pages.page import read_page
from runbooks.runner.run import Runner
from runbooks.runner.shell import Shell, start_ticks
from tests.pages import ROOT
from tests.runbooks.fake_fleet_process import eventually
from tests.runbooks.small_pages import ended, step, text
from vectorfleet.verdicts import Verdict

SECOND = """\
echo 2 >> trace
test -f let-go || { echo $$ > group; sleep 600; }"""
PAGE = text(
    step(1, "echo 1 >> trace", "If not: go to 2", budget="10s"),
    step(2, SECOND, "If not: go to 1, at most 1 times, then go to 2", "Then: done", budget="9m"),
)
RUN = """
import sys
from pathlib import Path
from runbooks.pages.page import read_page
from runbooks.runner.run import Runner
from runbooks.runner.shell import Shell
folder = Path(sys.argv[1])
Runner(read_page(folder / "RB-07-x.md"), Shell(folder), folder / "journal.jsonl").run()
"""


def test_a_run_continues_after_its_runner_was_killed(tmp_path: Path) -> None:
    (tmp_path / "RB-07-x.md").write_text(PAGE)
    runner = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], cwd=ROOT)
    group = tmp_path / "group"
    eventually(lambda: group.exists() and group.read_text().strip())
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    left_over = int(group.read_text())
    assert start_ticks(left_over) is not None
    (tmp_path / "let-go").touch()
    page = read_page(tmp_path / "RB-07-x.md")
    done = Runner(page, Shell(tmp_path), tmp_path / "journal.jsonl").run(resume=True)
    assert done.verdict is Verdict.PASS
    assert (tmp_path / "trace").read_text().split() == ["1", "2", "2"]
    assert [visit.step for visit in done.visits] == [1, 2]
    eventually(lambda: ended(left_over))
