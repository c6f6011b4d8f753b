"""Figures that the documentation's sentences give are those of the code."""

from __future__ import annotations

import pytest

from infra.alarm_table import OBJECTIVES
from infra.config import settings_from
from infra.consistency import LEAST_QUERIES, MOST_VCPUS
from infra.cost import SNAPSHOT_GENERATIONS
from infra.demand import LOOP_QUERIES_PER_SECOND
from infra.option import MAX_CELLS
from infra.placement import MAX_ROUTERS
from infra.plan import DEARER_SHOWN, REFUSED_SHOWN
from infra.restore import EC2_BOOT, GP3_MAX_MIBPS, LOCAL_BOOT, REPLAY_ENTRIES_PER_SECOND, SYSTEM_GIB
from infra.settings import SUBNET_BITS
from infra.sizing import MAX_VECTORS_PER_SHARD
from infra.stack import own_values, stack_config
from loadtests.corpora import aws, lines, python
from loadtests.golden import ASKED, FIRST, RECALL_FLOOR
from loadtests.questions import load
from loadtests.recall import ADDED
from rehearsal.cli import DEFAULT_PORT
from rehearsal.compute.machine import START_LIMIT
from runbooks.drills.measure import MIN_COVERAGE, SLOW_SHARE
from runbooks.observer import BEACONS
from service.index import canaries, collection, delta
from service.indexer import backlog
from service.indexer.indexer import STEP_ENTRIES
from service.node import generations
from service.router import commits, replicas, scatter
from service.settings import SNAPSHOT_SECONDS
from service.storage import log
from tests.pages import text

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 8: "eight", 10: "ten", 30: "thirty"}
DUE = f"{generations.QUIET_DELTA_ROWS} and nobody has written for {generations.QUIET_SECONDS:.0f} s"
PERIODS = f"{NUMBERS[OBJECTIVES[0].periods[0]].title()} of the last {NUMBERS[OBJECTIVES[0].periods[1]]} periods"


def rehearsal_objective() -> int:
    return settings_from(own_values(stack_config("rehearsal"))).objectives.recovery_time_seconds


SENTENCES = [
    ("README.md", f"then {len(load(aws.QUESTIONS))} golden questions"),
    ("docs/adr/0008-relevance-on-exact-answers.md", f"{NUMBERS[ASKED[0]].title()} are asked for, more"),
    ("docs/adr/0008-relevance-on-exact-answers.md", f"the first {NUMBERS[FIRST]} of the corpus"),
    ("docs/adr/0008-relevance-on-exact-answers.md", f"a floor of {RECALL_FLOOR}"),
    ("docs/loadtests.md", f"its documented parameters | {len(load(aws.QUESTIONS))} |"),
    ("docs/loadtests.md", f"docstrings of what is private | {len(load(python.QUESTIONS))} |"),
    ("docs/loadtests.md", f"begin with `{ADDED[0]}` or `{ADDED[1]}`"),
    ("docs/loadtests.md", f"takes the first {lines.SMALL_DOCUMENTS:,} documents"),
    ("docs/rehearsal.md", f"{len(python.SMALL)} modules and all topics"),
    ("docs/rehearsal.md", f"its first {lines.SMALL_DOCUMENTS:,} documents"),
    ("docs/runbooks.md", f"recall is at least {RECALL_FLOOR}"),
    ("docs/runbooks.md", f"plants {NUMBERS[BEACONS]} documents"),
    ("docs/runbooks.md", f"at least {MIN_COVERAGE:.0%} of its canaries".replace("%", " %")),
    ("docs/runbooks.md", f"fewer than {SLOW_SHARE:.0%} of the searches".replace("%", " %")),
    ("docs/service.md", f"silent for {scatter.HEDGE_SECONDS * 1000:.0f} ms is hedged"),
    ("docs/service.md", f"has {scatter.ATTEMPT_SECONDS:.0f} s in all"),
    ("docs/service.md", f"waits up to {scatter.WAIT_FOR_POSITION_SECONDS:.0f} s"),
    ("docs/service.md", f"by their tags every {replicas.DISCOVERY_SECONDS:.0f} s"),
    ("docs/service.md", f"the deadline ({log.APPEND_DEADLINE_SECONDS:.0f} s)"),
    ("docs/service.md", f"reach {delta.LARGE_DELTA_ROWS:,} and a quarter of the base"),
    ("docs/service.md", DUE),
    ("docs/service.md", f"has {delta.LONG_LOG_ENTRIES:,} entries since the base"),
    ("docs/service.md", f"waited {SNAPSHOT_SECONDS // 3600} hours for a snapshot"),
    ("docs/infrastructure.md", f"takes {1000 // REPLAY_ENTRIES_PER_SECOND} ms, however little it holds"),
    ("docs/service.md", f"at least {canaries.RECALL_FLOORS['hnsw']} of what exact search finds"),
    ("docs/service.md", f"{canaries.RECALL_FLOORS['ivf']} with IVF, {canaries.RECALL_FLOORS['pq']} with PQ"),
    ("docs/service.md", f"{commits.QUEUE_BYTES >> 20} MiB of writes wait"),
    ("docs/protocol.md", f"within {commits.GATHER_SECONDS * 1000:.0f} ms, up to {commits.COMMIT_BYTES >> 20} MiB"),
    ("docs/protocol.md", f"After {log.APPEND_DEADLINE_SECONDS:.0f} s give up"),
    ("docs/protocol.md", f"at most {STEP_ENTRIES} and"),
    ("docs/protocol.md", f"older than {generations.CLAIM_SECONDS:.0f} s may be taken over"),
    ("docs/protocol.md", f"has reached {collection.DELTA_ROWS:,} rows"),
    ("docs/protocol.md", f"at least {backlog.FLOOR_ROWS:,} in one shard"),
    ("docs/protocol.md", f"up to {backlog.LONGEST_PAUSE_SECONDS:.0f} s. It counts"),
    ("docs/infrastructure.md", f"On EC2 {EC2_BOOT.seconds:g} s of it pass"),
    ("docs/infrastructure.md", f"{EC2_BOOT.detect_seconds:g} s until two of EC2's status checks"),
    ("docs/infrastructure.md", f"{EC2_BOOT.launch_seconds:g} s of launch and {EC2_BOOT.install_seconds:g} s of inst"),
    ("docs/infrastructure.md", f"with {LOCAL_BOOT.seconds:g} s of boot"),
    ("docs/infrastructure.md", f"judged by {rehearsal_objective()} s"),
    ("docs/infrastructure.md", f"at most {MAX_VECTORS_PER_SHARD // 10**6} million vectors each"),
    ("docs/infrastructure.md", f"of at most {MAX_CELLS} cells"),
    ("docs/infrastructure.md", f"or than {MAX_ROUTERS}, are refused"),
    ("docs/infrastructure.md", f"{SYSTEM_GIB} GiB for the system"),
    ("docs/infrastructure.md", f"at most {GP3_MAX_MIBPS:,} MiB/s"),
    ("docs/infrastructure.md", f"up to the {LOOP_QUERIES_PER_SECOND:,.0f} queries/s"),
    ("docs/infrastructure.md", f"{NUMBERS[SNAPSHOT_GENERATIONS].title()} generations of snapshots are assumed"),
    ("docs/deploy.md", f"the bill assumes {NUMBERS[SNAPSHOT_GENERATIONS]} generations"),
    ("docs/deploy.md", f"of which {EC2_BOOT.seconds:g} s are EC2's"),
    ("docs/infrastructure.md", f"The {NUMBERS[DEARER_SHOWN]} next best"),
    ("docs/infrastructure.md", f"and {NUMBERS[REFUSED_SHOWN]} that would not do at all"),
    ("docs/infrastructure.md", f"from {LEAST_QUERIES} to 10^9) and `vcpus` (up to {MOST_VCPUS})"),
    ("docs/infrastructure.md", PERIODS),
    ("docs/infrastructure.md", {4: "a sixteenth of it"}[SUBNET_BITS]),
    ("docs/rehearsal.md", f"port {DEFAULT_PORT}, account"),
    ("docs/rehearsal.md", f"After {NUMBERS[START_LIMIT]} starts in a minute"),
]


@pytest.mark.parametrize(("page", "sentence"), SENTENCES)
def test_the_page_gives_the_codes_figure(page: str, sentence: str) -> None:
    assert sentence in " ".join(text(page).split())
