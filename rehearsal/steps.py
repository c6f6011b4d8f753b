"""The steps of a rehearsal, each with the real parts: what it does, what it shows, what it leaves in the record."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from infra import cost, slo
from infra.tables import show_plan
from infra.workload import plan_for
from loadtests import golden as golden_set
from loadtests.corpora.corpus import Corpus
from loadtests.gate import Verdict
from loadtests.ingest import ingest
from loadtests.queries import save_queries
from loadtests.run import PROJECT, GateResult, Plan, gate_runs
from loadtests.run import Progress as GateProgress
from loadtests.settings import Settings
from loadtests.table import show_runs
from loadtests.truth import ask_truth
from rehearsal import deploy
from rehearsal.access import take_key
from rehearsal.fleet import (
    NotReachedError,
    all_ready,
    await_status,
    replicas_agree,
    settled,
)
from rehearsal.narrator import Narrator
from rehearsal.profile import Profile
from rehearsal.record import Record
from rehearsal.session import Session
from rehearsal.stack import READY_SECONDS, apply
from rehearsal.stack import settings as stack_settings
from runbooks.drills import shard_lost
from runbooks.drills.settings import DrillSettings
from service.client import Client

SETTLED_SECONDS = 180.0
# Of those that the corpus has beside its documents: real text that arrives under load.
ARRIVING_DOCUMENTS = 2_000
DRILL_LOAD_SECONDS = 600.0


@dataclass
class Stage:
    """What the steps work on: the session, the profile, the corpus, the record, and the terminal."""

    session: Session
    profile: Profile
    corpus: Corpus
    record: Record
    narrator: Narrator

    @property
    def client(self) -> Client:
        """A client of the deployed fleet."""
        return Client(self.record["outputs"]["endpoint"])

    @property
    def report_folder(self) -> Path:
        """Where everything that a person keeps is written."""
        return self.session.root / "report"

    @property
    def truth_file(self) -> Path:
        """The golden questions with their exact answers."""
        return self.report_folder / "queries.jsonl"

    @property
    def arriving_file(self) -> Path:
        """The documents that arrive under load."""
        return self.report_folder / "arriving.jsonl"

    @property
    def baseline_file(self) -> Path:
        """The golden set's answers while all is well."""
        return self.report_folder / "golden.json"


def plan(record: Record, narrator: Narrator) -> None:
    """Shards, replicas, machines and memory from the stack's numbers; nothing exists yet."""
    made = plan_for(stack_settings())
    show_plan(made, narrator.console)
    record["plan"] = cost.described(made)


def deploy_fleet(stage: Stage) -> None:
    """Apply the Pulumi program, then again to see that nothing changes; wait for every replica."""
    first = apply(stage.session, stage.narrator)
    stage.narrator.say(f"{first.created} resources created in {first.seconds:.1f} s")
    again = apply(stage.session, stage.narrator, "resources, a second time")
    stage.narrator.say(f"a second run: {again.unchanged} unchanged, {again.writes} writing calls")
    if again.writes:
        raise NotReachedError(f"a second run of the program made {again.writes} writing calls; it should make none")
    stage.record["outputs"] = first.outputs
    take_key(stage.session)
    stage.record["deploy"] = {"first": _counts(first), "second": _counts(again)}
    replicas = int(first.outputs["replicas"])
    with stage.narrator.waiting("instances boot"):
        status = await_status(stage.client, lambda s: all_ready(s, replicas), "a ready fleet", READY_SECONDS)
    stage.record["status"] = status
    stage.narrator.show(topology_table(status))


def _counts(summary: deploy.Summary) -> dict[str, Any]:
    names = ("created", "updated", "replaced", "deleted", "unchanged", "writes", "seconds")
    return {name: getattr(summary, name) for name in names}


def topology_table(status: dict[str, Any]) -> Table:
    """Shards, replicas and where they are."""
    names = ("zone", "instance", "address", "position", "generation", "rows")
    table = Table("shard", "replica", "zone", "instance", "address", "position", "base", "chunks")
    for shard in status["shards"]:
        for replica in shard["replicas"]:
            table.add_row(f"{shard['shard']}", replica["replica"], *(str(replica[name]) for name in names))
    return table


def ingest_documents(stage: Stage) -> None:
    """Bring the corpus in through the API, twice; wait until every replica serves it from a base."""
    documents = list(stage.corpus.documents())
    done = [0]

    def advance(count: int) -> None:
        done[0] += count
        bar(done[0], len(documents))

    with stage.narrator.steps("documents") as bar:
        first = ingest(stage.client, documents, advance)
    stage.narrator.say(f"{first.written} {stage.corpus.contents} written in {first.seconds:.1f} s")
    with stage.narrator.waiting("documents are split, embedded and indexed; the first bases are built"):
        status = await_status(stage.client, lambda s: settled(s, first.position), "an indexed fleet", SETTLED_SECONDS)
    done[0] = 0
    with stage.narrator.steps("documents, a second time") as bar:
        second = ingest(stage.client, documents, advance)
    stage.narrator.say(f"a second run: {second.written} written, {second.unchanged} were there already")
    stage.narrator.show(topology_table(status))
    stage.record["status"] = status
    stage.record["ingest"] = {
        "contents": stage.corpus.contents,
        "first": asdict(first),
        "second": asdict(second),
        "replicas_agree": replicas_agree(status),
        "chunks": sum(shard["replicas"][0]["rows"] for shard in status["shards"]),
    }
    if second.written:
        raise NotReachedError(f"a second ingest should write nothing, but wrote {second.written} documents")
    if not replicas_agree(status):
        raise NotReachedError("replicas of one shard hold different documents at the same position")


def search(stage: Stage) -> None:
    """Ask a few questions in plain words, then the golden set against exact search."""
    table = Table("asked", "found first", "score")
    examples = []
    for text in stage.corpus.examples:
        hits = stage.client.search(text=text, k=3)["hits"]
        for i, hit in enumerate(hits):
            table.add_row(text if i == 0 else "", hit["title"], f"{hit['score']:.2f}")
        examples.append({"text": text, "hits": hits})
    stage.narrator.show(table)
    questions = stage.corpus.questions()
    done = [0]
    with stage.narrator.steps("golden questions") as bar:

        def advance(count: int) -> None:
            done[0] += count
            bar(done[0], len(questions))

        found = golden_set.ask(stage.client, questions, stage.corpus.prefix, progress=advance)
    stage.report_folder.mkdir(parents=True, exist_ok=True)
    golden_set.save(found, stage.baseline_file)
    target = slo.target("relevance")
    missed = found.relevance <= target
    stage.narrator.say(
        f"{found.questions} golden questions: recall {found.recall:.3f} against exact search; relevance "
        f"{found.relevance:.3f}, {found.served_relevance:.3f} as served; target {target:g}"
        + (", missed: the questions stay as hard as they are" if missed else ""),
        style="yellow" if missed else "",
    )
    stage.record["search"] = {"examples": examples}
    stage.record["golden"] = {
        "questions": found.questions,
        "recall": found.recall,
        "relevance": found.relevance,
        "served_relevance": found.served_relevance,
        "target": target,
        "met": not missed,
        "not_found": sorted(set(found.answers) - set(found.found)),
    }


def load(stage: Stage) -> Verdict:
    """Open arrivals through the front load balancer while documents arrive; the gate's verdict."""
    texts = [question.question for question in stage.corpus.questions()]
    save_queries(stage.truth_file, ask_truth(stage.client, texts, stage.profile.load.k, stage.corpus.prefix))
    _keep_arriving_documents(stage)
    settings = Settings.from_values(
        stage.profile.settings.values()
        | {
            "queries": str(stage.truth_file),
            "documents": _arriving_file(stage),
            "p95_target_ms": stack_settings().objectives.retrieval_p95_ms,
        }
    )
    gate = Plan(stage.record["outputs"]["endpoint"], settings, runs=stage.profile.runs)
    result, void_before = _measured(stage, gate)
    show_runs(result.runs, result.judgement, stage.narrator.console)
    judged = sum(run.judged for run in result.runs)
    recall = sum(run.recall_sum for run in result.runs) / judged if judged else 0.0
    more = {"settings": settings.values(), "mean_recall": recall, "void_before": void_before}
    stage.record["load"] = result.as_json() | more
    return result.judgement.verdict


def _measured(stage: Stage, gate: Plan) -> tuple[GateResult, list[str]]:
    """
    The gate's result, and why a first one was void: a void measurement is none, so it is made once more, afresh. What
    the second one says counts, void or not.
    """
    folder, void_before = stage.report_folder / "load", list[str]()
    result = _one_gate(stage, gate, folder)
    if result.judgement.verdict is Verdict.VOID:
        void_before = list(result.judgement.void_reasons)
        stage.narrator.say(f"VOID, so it is measured once more: {'; '.join(void_before)}")
        folder.rename(folder.with_name("load-void"))
        result = _one_gate(stage, gate, folder)
    return result, void_before


def _one_gate(stage: Stage, gate: Plan, folder: Path) -> GateResult:
    with stage.narrator.steps("seconds of load") as bar:
        return gate_runs(gate, folder, lambda progress: bar(*_elapsed(progress)))


def _elapsed(progress: GateProgress) -> tuple[int, int]:
    done = (progress.run - 1) * progress.run_seconds + min(progress.elapsed_seconds, progress.run_seconds)
    return int(done), int(progress.runs * progress.run_seconds)


def _keep_arriving_documents(stage: Stage) -> None:
    lines = [json.dumps({"title": d.title, "text": d.text}) for d in stage.corpus.fresh(ARRIVING_DOCUMENTS)]
    stage.arriving_file.write_text("".join(f"{line}\n" for line in lines))


def _arriving_file(stage: Stage) -> str:
    """The documents that arrive; none where the corpus has none to spare, so that the load's own texts do."""
    return str(stage.arriving_file) if stage.arriving_file.stat().st_size else ""


def drill(stage: Stage) -> int:
    """Lose a shard under load and during writes, run the runbook, measure recovery; the drill's exit code."""
    outputs = stage.record["outputs"]
    settings = DrillSettings(
        outputs=stage.session.outputs,
        report=stage.report_folder / "drill",
        baseline=stage.baseline_file,
        aws_endpoint=stage.session.endpoint,
        window_seconds=stage.profile.drill_window_seconds,
        healthy_canaries=stage.profile.healthy_canaries,
        slow_seconds=stack_settings().objectives.retrieval_p95_ms / 1000,
        recover_within_seconds=180.0,
        rto_target_seconds=float(stack_settings().objectives.recovery_time_seconds),
        load=tuple(_background_load(stage, str(outputs["endpoint"]))),
        folder=PROJECT,
    )
    with stage.narrator.waiting("preparing the drill") as tell:

        def say(sentence: str) -> None:
            stage.narrator.say(f"  {sentence}")
            tell(sentence)

        result = shard_lost.run(settings, say)
    stage.narrator.show(result.render())
    stage.record["drill"] = result.to_json()
    return result.verdict.exit_code


def _background_load(stage: Stage, endpoint: str) -> Sequence[str]:
    load = Settings.from_values(
        stage.profile.settings.values()
        | {
            "rate": stage.profile.drill_rate,
            "warmup_seconds": 0.0,
            "window_seconds": DRILL_LOAD_SECONDS,
            "queries": str(stage.truth_file),
            "documents": _arriving_file(stage),
            # Other documents than the gate's runs wrote.
            "seed": 1_000,
        }
    )
    command = [sys.executable, "-m", "locust", "-f", str(PROJECT / "loadtests" / "locustfile.py"), "--headless"]
    command += ["--only-summary", "--loglevel", "WARNING", "--host", endpoint, *load.arguments()]
    return [*command, f"--evidence={stage.report_folder / 'drill' / 'load'}"]
