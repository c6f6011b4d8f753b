"""The steps of a rehearsal: each acts, prints its findings and stores them in the record."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from infra.facts import slo
from infra.planning import cost
from infra.planning.plan import plans_for
from infra.planning.plan_report import show_plans
from infra.stack.outputs import read_stack
from loadtests.corpora.corpus import Corpus
from loadtests.corpora.ingest import ingest
from loadtests.generate.gate_runs import PROJECT, GateResult, Plan, gate_runs
from loadtests.golden import golden_set
from loadtests.golden.truth import ask_truth
from loadtests.judge.table import show_runs
from loadtests.run.queries import save_queries
from loadtests.run.settings import Settings
from rehearsal import deployer
from rehearsal.fleet import (
    NotReachedError,
    apply,
    await_ready,
    await_status,
    replica_table,
    replicas_agree,
    settled,
    stack_settings,
    take_key,
)
from rehearsal.narrator import Narrator
from rehearsal.profile import Profile
from rehearsal.record import Record
from rehearsal.session import Session
from runbooks.drills import shard_lost
from runbooks.drills.settings import DrillSettings
from service.client import Client
from vectorfleet.verdicts import Verdict

SETTLED_SECONDS = 180.0
# The number of documents that the corpus holds back, to arrive under load.
ARRIVING_DOCUMENTS = 2_000
DRILL_LOAD_SECONDS = 600.0
# In the report folder: the golden questions with their exact answers, the documents that arrive under load, and the
# golden set's answers before the drill.
TRUTH, ARRIVING, BASELINE = "queries.jsonl", "arriving.jsonl", "golden.json"


@dataclass
class Stage:
    """The inputs and outputs of the steps: session, profile, corpus, record and terminal."""

    session: Session
    profile: Profile
    corpus: Corpus
    record: Record
    narrator: Narrator

    @property
    def client(self) -> Client:
        """Return a client of the slot that serves. Raises StackError if two do."""
        return Client(self.record["outputs"]["endpoint"], slot=self.slot)

    @property
    def slot(self) -> str:
        """Return the slot that the rehearsal measures."""
        return read_stack(self.session.outputs).slot

    @property
    def report_folder(self) -> Path:
        """Return the folder of everything that the user keeps."""
        return self.session.root / "report"


def plan(record: Record, narrator: Narrator) -> None:
    """Size the fleet from the stack's numbers; nothing is created yet."""
    made = plans_for(stack_settings())
    show_plans(made, narrator.console)
    record["plan"] = cost.described(made)


def deploy_fleet(stage: Stage) -> None:
    """Apply the Pulumi program twice, so that the second run proves that nothing changes; wait for every replica."""
    first = apply(stage.session, stage.narrator)
    stage.narrator.say(f"{first.created} resources created in {first.seconds:.1f} s")
    again = apply(stage.session, stage.narrator, "resources, a second time")
    stage.narrator.say(f"a second run: {again.unchanged} unchanged, {again.writes} writing calls")
    if again.writes:
        raise NotReachedError(f"a second run of the program made {again.writes} writing calls; it should make none")
    stage.record["outputs"] = first.outputs
    take_key(stage.session)
    stage.record["deploy"] = {"first": _counts(first), "second": _counts(again)}
    with stage.narrator.waiting("instances boot"):
        status = await_ready(first.outputs)[stage.slot]
    stage.record["status"] = status
    stage.narrator.show(replica_table(status))


def _counts(summary: deployer.Summary) -> dict[str, Any]:
    names = ("created", "updated", "replaced", "deleted", "unchanged", "writes", "seconds")
    return {name: getattr(summary, name) for name in names}


def ingest_documents(stage: Stage) -> None:
    """Ingest the corpus through the API twice, and wait until every replica serves it from a base."""
    documents = list(stage.corpus.documents())
    with stage.narrator.counting("documents", len(documents)) as advance:
        first = ingest(stage.client, documents, advance)
    stage.narrator.say(f"{first.written} {stage.corpus.contents} written in {first.seconds:.1f} s")
    with stage.narrator.waiting("documents are split, embedded and indexed; the first bases are built"):
        status = await_status(stage.client, lambda s: settled(s, first.position), "an indexed fleet", SETTLED_SECONDS)
    with stage.narrator.counting("documents, a second time", len(documents)) as advance:
        second = ingest(stage.client, documents, advance)
    stage.narrator.say(f"a second run: {second.written} written, {second.unchanged} unchanged")
    stage.narrator.show(replica_table(status))
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
    """Ask a few questions in plain words, then the golden set, which is compared with exact search."""
    stage.record["search"] = {"examples": _search_examples(stage)}
    questions = stage.corpus.questions()
    with stage.narrator.counting("golden questions", len(questions)) as advance:
        found = golden_set.ask(stage.client, questions, stage.corpus.prefix, progress=advance)
    stage.report_folder.mkdir(parents=True, exist_ok=True)
    golden_set.save(found, stage.report_folder / BASELINE)
    target = slo.target("relevance")
    missed = found.relevance <= target
    stage.narrator.say(
        f"{found.questions} golden questions: recall {found.recall:.3f} against exact search; relevance "
        f"{found.relevance:.3f}, {found.served_relevance:.3f} as served; target {target:g}"
        + (", missed; the questions are not made easier" if missed else ""),
        style="yellow" if missed else "",
    )
    stage.record["golden"] = {
        "questions": found.questions,
        "recall": found.recall,
        "relevance": found.relevance,
        "served_relevance": found.served_relevance,
        "target": target,
        "met": not missed,
        "not_found": sorted(set(found.answers) - set(found.found)),
    }


def _search_examples(stage: Stage) -> list[dict[str, Any]]:
    table = Table("asked", "found first", "score")
    examples = []
    for text in stage.corpus.examples:
        hits = stage.client.search(text=text, k=3)["hits"]
        for i, hit in enumerate(hits):
            table.add_row(text if i == 0 else "", hit["title"], f"{hit['score']:.2f}")
        examples.append({"text": text, "hits": hits})
    stage.narrator.show(table)
    return examples


def load(stage: Stage) -> Verdict:
    """Offer open load through the front load balancer while documents arrive; return the gate's verdict."""
    texts = [question.question for question in stage.corpus.questions()]
    truth_file = stage.report_folder / TRUTH
    save_queries(truth_file, ask_truth(stage.client.search, texts, stage.profile.load.k, stage.corpus.prefix))
    _keep_arriving_documents(stage)
    settings = Settings.from_values(
        stage.profile.settings.values()
        | {
            "queries": str(truth_file),
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
    Return the gate's result, and the reasons if the first one was VOID.

    A VOID gate is repeated once. The second result counts, VOID or not.
    """
    folder, void_before = stage.report_folder / "load", list[str]()
    result = _one_gate(stage, gate, folder)
    if result.judgement.verdict is Verdict.VOID:
        void_before = list(result.judgement.void_reasons)
        stage.narrator.say(f"VOID, so the gate is repeated once: {'; '.join(void_before)}")
        folder.rename(folder.with_name("load-void"))
        result = _one_gate(stage, gate, folder)
    return result, void_before


def _one_gate(stage: Stage, gate: Plan, folder: Path) -> GateResult:
    with stage.narrator.steps("seconds of load") as bar:
        return gate_runs(gate, folder, lambda now: bar(int(now.done_seconds), int(now.runs * now.run_seconds)))


def _keep_arriving_documents(stage: Stage) -> None:
    lines = [json.dumps({"title": d.title, "text": d.text}) for d in stage.corpus.fresh(ARRIVING_DOCUMENTS)]
    (stage.report_folder / ARRIVING).write_text("".join(f"{line}\n" for line in lines))


def _arriving_file(stage: Stage) -> str:
    """Return the file of the documents that arrive; empty if the corpus has none, so that Locust uses its own texts."""
    path = stage.report_folder / ARRIVING
    return str(path) if path.stat().st_size else ""


def drill(stage: Stage) -> int:
    """Lose a shard under load and writes, run the runbook, measure recovery; return the drill's exit code."""
    settings = DrillSettings(
        outputs=stage.session.outputs,
        report=stage.report_folder / "drill",
        baseline=stage.report_folder / BASELINE,
        aws_endpoint=stage.session.endpoint,
        window_seconds=stage.profile.drill_window_seconds,
        healthy_canaries=stage.profile.healthy_canaries,
        slow_seconds=stack_settings().objectives.retrieval_p95_ms / 1000,
        recover_within_seconds=180.0,
        rto_target_seconds=float(stack_settings().objectives.recovery_time_seconds),
        load=tuple(
            background_load(stage, stage.report_folder / "drill" / "load", stage.profile.drill_rate, DRILL_LOAD_SECONDS)
        ),
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


def background_load(stage: Stage, evidence: Path, rate: float, seconds: float) -> Sequence[str]:
    """Return the command of a load that leaves its evidence in a folder, and lasts longer than the step that ends it.

    `rate` is in searches a second.
    """
    load = Settings.from_values(
        stage.profile.settings.values()
        | {
            "rate": rate,
            "warmup_seconds": 0.0,
            "window_seconds": seconds,
            "queries": str(stage.report_folder / TRUTH),
            "documents": _arriving_file(stage),
            # The documents differ from those of the gate's runs.
            "seed": 1_000,
        }
    )
    command = [sys.executable, "-m", "locust", "-f", str(PROJECT / "loadtests" / "locustfile.py"), "--headless"]
    command += [
        "--only-summary",
        "--loglevel",
        "WARNING",
        "--host",
        stage.record["outputs"]["endpoint"],
        *load.arguments(),
    ]
    return [*command, f"--evidence={evidence}"]
