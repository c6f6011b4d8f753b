"""Tests that figures in the documentation's sentences are those of the code."""

from __future__ import annotations

import pytest

from infra.configuration.consistency import LEAST_QUERIES, MOST_VCPUS
from infra.configuration.settings import SUBNET_BITS
from infra.configuration.settings_sections import Indexing
from infra.configuration.stack_file import own_values, stack_config
from infra.configuration.stack_settings import settings_from
from infra.facts import slo
from infra.facts.alarm_table import OBJECTIVES
from infra.facts.instance_types import GP3_MAX_MIBPS
from infra.planning.candidates import MAX_CELLS
from infra.planning.cost import SNAPSHOT_GENERATIONS
from infra.planning.plan import DEARER_SHOWN, REJECTED_SHOWN
from infra.planning.recovery import EC2_BOOT, LOCAL_BOOT, REPLAY_ENTRIES_PER_SECOND, SYSTEM_GIB
from infra.planning.shard_size import MAX_VECTORS_PER_SHARD
from infra.planning.workload import LOOP_QUERIES_PER_SECOND
from infra.planning.zone_loss import MAX_ROUTERS
from loadtests.corpora import aws, lines, python
from loadtests.corpora.corpus import ADDED
from loadtests.corpora.ingest import BATCH_DOCUMENTS
from loadtests.corpora.questions import load
from loadtests.golden.golden_set import ASKED, FIRST, RECALL_FLOOR
from rehearsal.cli import DEFAULT_PORT
from rehearsal.emulator.compute.machine import START_LIMIT
from runbooks.fleet import batches
from runbooks.observe.observer import BEACONS
from runbooks.observe.windows import MIN_COVERAGE, SLOW_SHARE
from service.index import canaries, collection, rebuild_policy
from service.indexer import backlog, process
from service.node import generations
from service.router import replicas, scatter, write_queue
from service.settings import SNAPSHOT_SECONDS
from service.storage import log
from service.storage.shards import STEP_ENTRIES
from tests.pages import text

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 8: "eight", 10: "ten", 30: "thirty"}
DUE = f"{rebuild_policy.QUIET_DELTA_ROWS} and nobody has written for {rebuild_policy.QUIET_SECONDS:.0f} s"
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
    ("docs/api.md", f"waits up to {scatter.WAIT_FOR_POSITION_SECONDS:.0f} s"),
    ("docs/service.md", f"by their tags every {replicas.DISCOVERY_SECONDS:.0f} s"),
    ("docs/api.md", f"the deadline ({log.APPEND_DEADLINE_SECONDS:.0f} s)"),
    ("docs/indexes.md", f"reach {rebuild_policy.LARGE_DELTA_ROWS:,} and a quarter of the base"),
    ("docs/indexes.md", DUE),
    ("docs/indexes.md", f"has {rebuild_policy.LONG_LOG_ENTRIES:,} entries since the base"),
    ("docs/indexes.md", f"waited {SNAPSHOT_SECONDS // 3600} hours for a snapshot"),
    ("docs/infrastructure.md", f"takes {1000 // REPLAY_ENTRIES_PER_SECOND} ms, however little it holds"),
    ("docs/indexes.md", f"at least {canaries.RECALL_FLOORS['hnsw']} of what exact search finds"),
    ("docs/indexes.md", f"{canaries.RECALL_FLOORS['ivf']} with IVF, {canaries.RECALL_FLOORS['pq']} with PQ"),
    ("docs/api.md", f"{write_queue.QUEUE_BYTES >> 20} MiB of writes wait"),
    (
        "docs/protocol.md",
        f"within {write_queue.GATHER_SECONDS * 1000:.0f} ms, up to {write_queue.COMMIT_BYTES >> 20} MiB",
    ),
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
    ("docs/infrastructure.md", f"and {NUMBERS[REJECTED_SHOWN]} that would not do at all"),
    ("docs/infrastructure.md", f"from {LEAST_QUERIES} to 10^9) and `vcpus` (up to {MOST_VCPUS})"),
    ("docs/infrastructure.md", PERIODS),
    ("docs/infrastructure.md", {4: "a sixteenth of it"}[SUBNET_BITS]),
    ("docs/index-life.md", f"With the defaults that is {Indexing(mode='batch').lag_seconds:,.0f} s"),
    ("docs/index-life.md", f"with pauses of {process.LONGEST_IDLE_SECONDS:g} s at most"),
    ("docs/index-life.md", f"searches miss is {slo.LAG_SECONDS:g} s old"),
    ("docs/index-life.md", f"within {NUMBERS[batches.MARGIN.seconds // 60]} minutes: AWS"),
    ("docs/index-life.md", f"`vectorfleet ingest` writes {BATCH_DOCUMENTS} in a request"),
    ("docs/rehearsal.md", f"port {DEFAULT_PORT}, account"),
    ("docs/rehearsal.md", f"After {NUMBERS[START_LIMIT]} starts in a minute"),
]


@pytest.mark.parametrize(("page", "sentence"), SENTENCES)
def test_the_page_gives_the_codes_figure(page: str, sentence: str) -> None:
    assert sentence in " ".join(text(page).split())
