"""The verbs of `vectorfleet` as a table, so that `--help` and completion import none of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """A command's home, and the first line of its help."""

    module: str
    attribute: str
    summary: str


@dataclass(frozen=True)
class Family:
    """Verbs behind a word of their own."""

    summary: str
    verbs: dict[str, Verb]


Chapter = dict[str, Verb | Family]

# The order is that of a fleet's life.
CHAPTERS: dict[str, Chapter] = {
    "Plan": {
        "plan": Verb(
            "infra.planning.plan_verb",
            "plan",
            "Size a fleet: shards, replicas, machines, memory, recovery, monthly cost.",
        ),
        "check": Verb(
            "infra.review.check_verb", "check", "Review the resources that a stack would create, by the rules."
        ),
        "graph": Verb("infra.review.graph_verb", "graph", "Print the resources that a stack would create, as JSON."),
        "artifact": Verb(
            "infra.boot.wheelhouse", "artifact_command", "Build the wheels that instances install, as one zip in dist/."
        ),
        "model": Verb(
            "infra.boot.model_files",
            "model_command",
            "Pack an embedding model's FOLDER for instances, as one zip in dist/.",
        ),
    },
    "Deploy": {
        "secret": Verb("infra.operations.secret_verb", "secret", "Store a secret of the stack as a SecureString."),
        "keys": Verb("infra.operations.keys_verb", "keys", "Create, list and revoke keys of the API."),
        "roll": Verb(
            "infra.operations.roll_verb", "roll", "Bring a slot to its newest launch template, group after group."
        ),
        "slots": Family(
            "See the slots, verify one, move the requests to it, go back.",
            {
                "list": Verb(
                    "runbooks.slots.slots_verb", "slots", "List the slots: weight, state, lag, rows, last verification."
                ),
                "verify": Verb(
                    "runbooks.slots.slots_verb",
                    "verify_verb",
                    "Verify SLOT beside the slot that serves, and keep the result for a switch.",
                ),
                "switch": Verb(
                    "runbooks.slots.slots_verb",
                    "switch_verb",
                    "Move the requests to SLOT in steps, and back if an alarm of the fleet rings.",
                ),
                "back": Verb(
                    "runbooks.slots.slots_verb",
                    "back_verb",
                    "Give all requests to the slot with the smaller weight, by one change.",
                ),
                "retire": Verb(
                    "runbooks.slots.slots_verb",
                    "retire_verb",
                    "Delete the index of SLOT, which the stack no longer deploys.",
                ),
            },
        ),
        "weights": Verb(
            "infra.operations.weights_verb", "weights", "Show or move the share of traffic that each slot gets."
        ),
        "copies": Verb(
            "infra.operations.copies_verb", "copies", "Copy to the vault what replication missed, and wait for the end."
        ),
        "generators": Verb(
            "infra.operations.generators_verb",
            "generators",
            "Start and stop instances that run Locust workers inside the network.",
        ),
    },
    "Operate": {
        "ingest": Verb(
            "loadtests.document_verbs",
            "ingest_command",
            "Write a corpus into the fleet; documents that it holds are left alone.",
        ),
        "embed": Verb("loadtests.bulk_verb", "embed", "Embed in bulk: fill a slot's embedding memory by many workers."),
        "search": Verb("loadtests.document_verbs", "search_command", "Ask one question in plain words."),
        "fleet": Verb(
            "runbooks.fleet.status_verb", "fleet", "Show shards, replicas and indexers as the routers see them."
        ),
        "groups": Verb(
            "runbooks.fleet.groups_verb", "groups", "Show each replica's Auto Scaling group, and why a launch failed."
        ),
        "alarms": Verb("runbooks.fleet.alarms", "alarms", "List the alarms with their pages, those that ring first."),
        "backups": Verb(
            "runbooks.fleet.backups_verb",
            "backups",
            "List the newest snapshots of each shard; make or verify them first.",
        ),
        "position": Verb("runbooks.fleet.position_verb", "position", "Find the documents position at a time."),
        "index": Family(
            "Bring the index up to date.",
            {
                "now": Verb(
                    "runbooks.fleet.index_verb", "now", "Index all writes now instead of at the next scheduled batch."
                ),
            },
        ),
        "rebuild": Verb(
            "runbooks.slots.rebuild_verb", "rebuild", "Rebuild SLOT from the documents log, while it serves."
        ),
        "undo": Verb("runbooks.fleet.undo_verb", "undo", "Undo the writes of a range for ever; later writes stay."),
        "erase": Verb(
            "runbooks.fleet.erase_verb",
            "erase",
            "Erase SOURCE_IDS for ever: from logs, snapshots, memory, old versions.",
        ),
        "erasures": Verb("runbooks.fleet.erase_verb", "erasures", "List the erasures with their states."),
        "wait": Verb("runbooks.fleet.status_verb", "wait", "Wait until every shard is ready, and print each change."),
        "probe": Verb(
            "runbooks.observe.probe_verb", "probe", "Search and write until the service is good for a whole window."
        ),
        "launch": Verb(
            "runbooks.fleet.groups_verb", "launch_verb", "Launch an instance in every group in which none runs."
        ),
        "replace": Verb("runbooks.fleet.groups_verb", "replace", "Replace the instances of a role that keeps no data."),
        "restore-entry": Verb(
            "runbooks.fleet.entries_verb",
            "restore_entry",
            "Restore damaged or deleted log entries from their older versions.",
        ),
        "runbook": Family(
            "Read, check and walk through runbook pages.",
            {
                "show": Verb("runbooks.pages.pages_verb", "show", "Print a page as it stands; nothing is run."),
                "walk": Verb(
                    "runbooks.runner.walk_verb",
                    "walk",
                    "Go through a page step by step: you decide, the runner runs and checks.",
                ),
                "check": Verb(
                    "runbooks.pages.pages_verb",
                    "check_verb",
                    "Check pages: grammar, commands, ways and budgets; all by default.",
                ),
            },
        ),
    },
    "Test": {
        "golden": Verb(
            "loadtests.golden_verb", "golden_command", "Ask the golden questions and print recall and relevance."
        ),
        "load": Family(
            "Offer load, and judge the service by what it answers.",
            {
                "truth": Verb(
                    "loadtests.load_verbs",
                    "truth_command",
                    "Ask by exact search and write FILE, by which a gate judges recall.",
                ),
                "gate": Verb("loadtests.load_verbs", "gate_command", "Judge the service under open load."),
                "judge": Verb(
                    "loadtests.load_verbs",
                    "judge_command",
                    "Judge a gate again from its folder EVIDENCE; nothing is sent.",
                ),
            },
        ),
        "drill": Family(
            "Break a fleet, recover it by its runbook, and measure both.",
            {
                "run": Verb(
                    "runbooks.drills.drill_verb",
                    "drill",
                    "Break the fleet, run the page, and measure recovery time and loss.",
                ),
                "observe": Verb(
                    "runbooks.observe.observer_verb",
                    "observe",
                    "Search and write at fixed instants and keep a ledger, until SIGTERM.",
                ),
            },
        ),
        "bench": Family(
            "Measure the service on this machine; compare ratios, for every figure is noisy.",
            {
                "index": Verb(
                    "service.index.bench_verb",
                    "bench_index",
                    "Measure recall, speed, build time and memory of the four index types.",
                ),
                "vectors": Verb(
                    "loadtests.document_verbs",
                    "vectors_command",
                    "Embed the texts of a corpus and write FILE (.npy) for the benchmarks.",
                ),
                "serving": Verb(
                    "benchmarks.cli",
                    "serving",
                    "Measure searches per second of a node and a router, beside bare hnswlib.",
                ),
                "take-over": Verb(
                    "benchmarks.cli",
                    "take_over",
                    "Measure latencies while a fresh process takes over a new generation.",
                ),
                "bulk": Verb(
                    "benchmarks.cli",
                    "bulk",
                    "Measure writing all vectors at once, then a restore, beside bare hnswlib.",
                ),
                "growth": Verb(
                    "benchmarks.cli", "growth", "Measure searches as a fleet grows, in vectors, shards and callers."
                ),
                "hop": Verb("benchmarks.cli", "hop", "Measure what a router over two shards adds to a direct search."),
                "levels": Verb(
                    "benchmarks.cli",
                    "levels",
                    "Compare hnswlib compiled for this machine, the artifact and any x86-64.",
                ),
                "peers": Verb(
                    "benchmarks.cli", "peers", "Compare searches per second with other servers and a library."
                ),
                "verdicts": Verb(
                    "benchmarks.verdicts", "command", "Count the gate's verdicts on services whose truth is known."
                ),
            },
        ),
    },
    "Rehearse": {
        "rehearse": Verb(
            "rehearsal.job", "rehearse", "Run the whole loop, from the plan to the report, then tear it down."
        ),
        "up": Verb("rehearsal.cli", "up", "Start a rehearsal that stays up; called again, apply changes."),
        "status": Verb("rehearsal.cli", "status", "Show the rehearsal's processes, instances, shards and replicas."),
        "logs": Verb("rehearsal.cli", "logs", "List the log files, or show the end of those with NAME in their name."),
        "down": Verb("rehearsal.cli", "down", "Destroy the deployed stack and end the emulated AWS."),
        "emulate": Verb(
            "rehearsal.cli", "emulate", "Run the emulated AWS alone, until Ctrl-C: API, machines, load balancers."
        ),
    },
    "Run a process": {
        "node": Verb("service.cli", "node", "Serve one replica of one shard."),
        "router": Verb("service.cli", "router", "Serve the public API."),
        "indexer": Verb("service.cli", "indexer", "Turn the documents log into shard logs."),
        "worker": Verb(
            "loadtests.load_verbs",
            "worker_command",
            "Generate load for the master that the fleet's parameters name.",
        ),
        "serve": Verb("service.cli", "serve", "Take a node's requests; `node` starts this process itself."),
        "build": Verb("service.cli", "build", "Build, verify and publish the next generation of a node's shard."),
        "digest": Verb("service.cli", "digest", "Print the digest of a node's shard, computed from S3."),
    },
}
