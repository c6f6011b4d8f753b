"""The verbs that bring documents in and ask questions: ingest, golden, search."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from typing import Any

import click

from loadtests import golden as golden_set
from loadtests import questions as question_set
from loadtests.corpora import choice
from loadtests.corpora.corpus import Corpus, CorpusError
from loadtests.ingest import IngestError, ingest, wait_until_searchable
from service.client import Client, ServiceError, Unanswered, find_key
from vectorfleet.exit_codes import ExitCode
from vectorfleet.output import console, print_json, progress_bar, table
from vectorfleet.refusal import Refusal, refusing

SEARCHABLE_SECONDS = 300.0
EMBEDDED_AT_ONCE = 1_000


_refusing = partial(
    refusing,
    CorpusError,
    IngestError,
    ServiceError,
    Unanswered,
    question_set.GoldenSetError,
    golden_set.BaselineError,
    golden_set.PartialError,
)


def endpoint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--endpoint`, or `--outputs` with the stack outputs that name one."""
    outputs = click.option(
        "--outputs",
        type=click.Path(path_type=Path),
        envvar="VECTORFLEET_OUTPUTS",
        default=Path(".rehearsal/outputs.json"),
        show_default=True,
        help="Stack outputs (`pulumi stack output --json`).",
    )
    endpoint = click.option(
        "--endpoint",
        envvar="VECTORFLEET_ENDPOINT",
        help="Base URL of the API, or VECTORFLEET_ENDPOINT; from the stack outputs when neither is given.",
    )
    return outputs(endpoint(command))


def endpoint_of(endpoint: str | None, outputs: Path) -> str:
    """The endpoint given, or the one that the stack outputs name; the key beside those is used from then on."""
    find_key(outputs)
    if endpoint:
        return endpoint
    try:
        return str(json.loads(outputs.read_text())["endpoint"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refusal(
            f"no endpoint: {outputs} has none ({error!r}). Give --endpoint http://…, or --outputs with the stack's "
            "outputs"
        ) from None


def collection_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--collection`."""
    return click.option("--collection", default="", help="A collection of the fleet; its own documents without it.")(
        command
    )


def corpus_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--corpus`, whose documents are meant."""
    return click.option(
        "--corpus",
        metavar="NAME|FILE",
        help=f"{' or '.join(choice.NAMES)}, or a file of your own, FILE{choice.FILE_ENDING}; aws without it.",
    )(command)


def questions_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--questions`, in place of those that the corpus has."""
    return click.option(
        "--questions", type=click.Path(path_type=Path), help="Golden questions, FILE.yaml; the corpus' own without it."
    )(command)


@click.command()
@endpoint_options
@collection_option
@corpus_option
@click.option("--services", help="Of aws only these services, as botocore names them, comma-separated.")
@click.option("--limit", type=click.IntRange(1, 1_000_000_000), help="Only the first N documents.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def ingest_command(
    endpoint: str | None,
    outputs: Path,
    collection: str,
    corpus: str | None,
    services: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Write a corpus into the fleet; documents that it holds are left alone."""
    with _refusing():
        client = Client(endpoint_of(endpoint, outputs), collection=collection)
        documents = list(_documents_of(corpus, services).documents(limit))
        with progress_bar() as bar:
            task = bar.add_task("ingest", total=len(documents))
            done = ingest(client, documents, lambda count: bar.advance(task, count))
        wait_until_searchable(client, done.position, timeout_seconds=SEARCHABLE_SECONDS, progress=lambda _: None)
    if as_json:
        print_json(vars(done), indent=None)
    else:
        searchable = f", searchable at position {done.position}" if done.written else ""
        console(stderr=True).print(
            f"{done.written} written, {done.unchanged} were there already{searchable}, {done.seconds:.1f} s"
        )


def _documents_of(corpus: str | None, services: str | None) -> Corpus:
    if services is None:
        return choice.choose(corpus or choice.DEFAULT)
    if corpus not in (None, choice.DEFAULT):
        raise Refusal(f"--services is for the corpus {choice.DEFAULT}, not for {corpus}; leave one of the two out")
    from loadtests.corpora.aws import AwsReference

    return AwsReference(services.split(","))


@click.command()
@endpoint_options
@collection_option
@corpus_option
@questions_option
@click.option("--save", type=click.Path(path_type=Path), help="Write the answers as a baseline.")
@click.option("--baseline", type=click.Path(path_type=Path), help="Ask what FILE asked; exit 1 where it differs.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def golden_command(
    endpoint: str | None,
    outputs: Path,
    collection: str,
    corpus: str | None,
    questions: Path | None,
    save: Path | None,
    baseline: Path | None,
    as_json: bool,
) -> None:
    """Ask the golden questions and print recall and relevance."""
    if baseline and (corpus or questions):
        raise Refusal(f"{baseline} says itself what it asked; leave --corpus and --questions out")
    with _refusing():
        before = golden_set.load(baseline) if baseline else None
        asked, prefix = _asked(corpus, questions, before)
        client = Client(endpoint_of(endpoint, outputs), collection=collection)
        with progress_bar() as bar:
            task = bar.add_task("golden set", total=len(asked))
            result = golden_set.ask(client, asked, prefix, progress=lambda count: bar.advance(task, count))
    if before is None and not any(result.answers.values()):
        raise Refusal(
            f"the fleet holds no document of the corpus {corpus or choice.DEFAULT}; ingest it, or name another one "
            "with --corpus (a drill takes what `loadtests golden --corpus … --save FILE` wrote, with --baseline)"
        )
    if save:
        golden_set.save(result, save)
    differences = result.differences(before) if before else []
    if as_json:
        print_json(result.to_json() | {"differences": differences}, indent=None)
    else:
        _print_golden(result, differences)
    sys.exit(ExitCode.FAIL if differences else ExitCode.PASS)


def _asked(
    corpus: str | None, questions: Path | None, before: golden_set.Golden | None
) -> tuple[tuple[question_set.Question, ...], str]:
    """The questions, and how the source_ids of their corpus begin."""
    if before is not None:
        return before.asked_questions(), before.prefix
    chosen = choice.choose(corpus or choice.DEFAULT, questions)
    return chosen.questions(), chosen.prefix


def _print_golden(result: golden_set.Golden, differences: list[str]) -> None:
    console(stderr=True).print(
        f"{result.questions} questions: relevance {result.relevance:.3f} (an accepted document among the exact first "
        f"ten; {result.served_relevance:.3f} as served), recall {result.recall:.3f} (against exact search)"
    )
    for difference in differences:
        console(stderr=True).print(f"differs from the baseline: {difference}", style="red")


@click.command()
@endpoint_options
@collection_option
@click.argument("text")
@click.option("--k", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many documents.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def search_command(endpoint: str | None, outputs: Path, collection: str, text: str, k: int, as_json: bool) -> None:
    """Ask one question in plain words."""
    with _refusing():
        answer = Client(endpoint_of(endpoint, outputs), collection=collection).search(text=text, k=k)
    if as_json:
        print_json(answer, indent=None)
        return
    shown = table("score", "document", "what it says", title=text)
    for hit in answer["hits"]:
        shown.add_row(f"{hit['score']:.3f}", hit["source_id"], f"[b]{hit['title']}[/b]\n{hit['text']}")
    console().print(shown)
    if answer["partial"]:
        console(stderr=True).print(
            f"partial: {answer['shards_answered']} of {answer['shards_total']} shards answered", style="red"
        )


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@corpus_option
@click.option("--limit", type=click.IntRange(1, 1_000_000_000), help="Only so many texts.")
@click.option("--dims", type=click.Choice(["64", "128", "256"]), default="256", show_default=True, help="Dimensions.")
def vectors_command(file: Path, corpus: str | None, limit: int | None, dims: str) -> None:
    """Embed the texts of a corpus and write FILE (.npy) for the benchmarks.

    Each text is embedded once, those that arrive under load included.
    """
    import numpy as np

    from service.embedding.model import PATIENT, Access
    from service.embedding.providers import load
    from service.embedding.splitter import heading
    from service.storage.builds import Embedding

    with _refusing():
        chosen = choice.choose(corpus or choice.DEFAULT)
        found = chain(chosen.documents(), chosen.fresh())
        texts = list(islice(dict.fromkeys(heading(one.title, one.text) for one in found), limit))
    model = load(Embedding("wordllama", version("wordllama"), int(dims)), Access(), PATIENT)
    vectors = []
    with progress_bar() as bar:
        task = bar.add_task("texts", total=len(texts))
        for first in range(0, len(texts), EMBEDDED_AT_ONCE):
            batch = texts[first : first + EMBEDDED_AT_ONCE]
            vectors.append(model.embed(batch))
            bar.advance(task, len(batch))
    made = np.concatenate(vectors)
    np.save(file, made[np.linalg.norm(made, axis=1) > 0])
    console(stderr=True).print(f"{len(made)} texts in {file}")
