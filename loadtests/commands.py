"""The verbs that bring documents in and ask questions: ingest, golden, search."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from loadtests import golden as golden_set
from loadtests import questions as question_set
from loadtests.corpus import Corpus, CorpusError
from loadtests.ingest import IngestError, ingest, wait_until_searchable
from service.client import Client, ServiceError, Unanswered, find_key

USAGE_EXIT_CODE = 64
SEARCHABLE_SECONDS = 300.0
EMBEDDED_AT_ONCE = 1_000
console = Console(stderr=True)


class UserError(click.ClickException):
    """A mistake or a state that the user can mend; not a verdict."""

    exit_code = USAGE_EXIT_CODE


@contextmanager
def _told() -> Iterator[None]:
    """Turn the errors that a user can do something about into sentences."""
    try:
        yield
    except (
        CorpusError,
        IngestError,
        ServiceError,
        Unanswered,
        question_set.GoldenSetError,
        golden_set.BaselineError,
        golden_set.PartialError,
    ) as error:
        raise UserError(str(error)) from None


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
    endpoint = click.option("--endpoint", help="Base URL of the API; from the stack outputs when not given.")
    return outputs(endpoint(command))


def endpoint_of(endpoint: str | None, outputs: Path) -> str:
    """The endpoint given, or the one that the stack outputs name; the key beside those is used from then on."""
    find_key(outputs)
    if endpoint:
        return endpoint
    try:
        return str(json.loads(outputs.read_text())["endpoint"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"no endpoint: {outputs} has none ({error!r}). Give --endpoint http://…, or --outputs with the stack's "
            "outputs"
        ) from None


def progress_bar() -> Progress:
    """A bar with count and time, on standard error, so that --json stays clean."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


@click.command()
@endpoint_options
@click.option("--services", help="Only these services, as botocore names them, comma-separated.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N operations.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def ingest_command(endpoint: str | None, outputs: Path, services: str | None, limit: int | None, as_json: bool) -> None:
    """Write the AWS API reference into the fleet; what it already holds is left alone."""
    with _told():
        client = Client(endpoint_of(endpoint, outputs))
        documents = list(Corpus(services.split(",") if services else None).operations(limit))
        with progress_bar() as bar:
            task = bar.add_task("ingest", total=len(documents))
            done = ingest(client, documents, lambda count: bar.advance(task, count))
        wait_until_searchable(client, done.position, timeout_seconds=SEARCHABLE_SECONDS, progress=lambda _: None)
    if as_json:
        click.echo(json.dumps(vars(done)))
    else:
        searchable = f", searchable at position {done.position}" if done.written else ""
        console.print(f"{done.written} written, {done.unchanged} were there already{searchable}, {done.seconds:.1f} s")


@click.command()
@endpoint_options
@click.option("--questions", type=click.Path(path_type=Path), default=question_set.GOLDEN_FILE, help="Golden set.")
@click.option("--save", type=click.Path(path_type=Path), help="Write the answers as a baseline.")
@click.option("--baseline", type=click.Path(path_type=Path), help="Compare with a baseline; exit 1 where it differs.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def golden_command(
    endpoint: str | None, outputs: Path, questions: Path, save: Path | None, baseline: Path | None, as_json: bool
) -> None:
    """Ask the golden set; print recall and relevance."""
    with _told():
        before = golden_set.load(baseline) if baseline else None
        asked = golden_set.comparable(question_set.load(questions), before)
        client = Client(endpoint_of(endpoint, outputs))
        with progress_bar() as bar:
            task = bar.add_task("golden set", total=len(asked))
            result = golden_set.ask(client, asked, progress=lambda count: bar.advance(task, count))
        if save:
            golden_set.save(result, save)
    differences = result.differences(before) if before else []
    if as_json:
        click.echo(json.dumps(result.to_json() | {"differences": differences}))
    else:
        _print_golden(result, differences)
    sys.exit(1 if differences else 0)


def _print_golden(result: golden_set.Golden, differences: list[str]) -> None:
    console.print(
        f"{result.questions} questions: relevance {result.relevance:.3f} (an accepted operation among the exact first "
        f"ten; {result.served_relevance:.3f} as served), recall {result.recall:.3f} (against exact search)"
    )
    for difference in differences:
        console.print(f"differs from the baseline: {difference}", style="red")


@click.command()
@endpoint_options
@click.argument("text")
@click.option("--k", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many documents.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def search_command(endpoint: str | None, outputs: Path, text: str, k: int, as_json: bool) -> None:
    """Ask one question in plain words."""
    with _told():
        answer = Client(endpoint_of(endpoint, outputs)).search(text=text, k=k)
    if as_json:
        click.echo(json.dumps(answer))
        return
    table = Table("score", "document", "what it says", title=text)
    for hit in answer["hits"]:
        table.add_row(f"{hit['score']:.3f}", hit["source_id"], f"[b]{hit['title']}[/b]\n{hit['text']}")
    Console().print(table)
    if answer["partial"]:
        console.print(f"partial: {answer['shards_answered']} of {answer['shards_total']} shards answered", style="red")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(min=1), help="Only so many texts.")
@click.option("--dims", type=click.Choice(["64", "128", "256"]), default="256", show_default=True, help="Dimensions.")
def vectors_command(file: Path, limit: int | None, dims: str) -> None:
    """Embed the corpus, each text once, and write FILE (.npy) for `python -m service bench-index`."""
    import numpy as np

    from service.embedding.model import PATIENT, Access
    from service.embedding.providers import load
    from service.embedding.splitter import heading
    from service.storage.builds import Embedding

    with _told():
        corpus = Corpus()
        found = chain(corpus.operations(), corpus.parameters())
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
    console.print(f"{len(made)} texts in {file}")
