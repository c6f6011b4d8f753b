"""The verbs on documents: ingest, search, bench vectors."""

from __future__ import annotations

from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path

import click

from loadtests.corpora.choice import DEFAULT, choose
from loadtests.corpora.corpus import Corpus
from loadtests.corpora.ingest import ingest, wait_until_searchable
from loadtests.options import client_options, corpus_option, refusing_errors
from service.client import Client
from vectorfleet.options import json_option
from vectorfleet.output import console, counting, print_json, table
from vectorfleet.refusal import Refusal

SEARCHABLE_SECONDS = 300.0
EMBEDDED_AT_ONCE = 1_000


@click.command()
@client_options
@corpus_option
@click.option("--services", help="Of the corpus aws only these services, as botocore names them, comma-separated.")
@click.option("--limit", type=click.IntRange(1, 1_000_000_000), help="Write only the first N documents.")
@json_option
@refusing_errors()
def ingest_command(client: Client, corpus: str | None, services: str | None, limit: int | None, as_json: bool) -> None:
    """Write a corpus into the fleet; documents that it holds are left alone."""
    documents = list(_documents_of(corpus, services).documents(limit))
    with counting("ingest", len(documents)) as progress:
        done = ingest(client, documents, progress)
    wait_until_searchable(client, done.position, SEARCHABLE_SECONDS)
    if as_json:
        print_json(vars(done), indent=None)
        return
    searchable = f", searchable at position {done.position}" if done.written else ""
    console(stderr=True).print(f"{done.written} written, {done.unchanged} unchanged{searchable}, {done.seconds:.1f} s")


def _documents_of(corpus: str | None, services: str | None) -> Corpus:
    if services is None:
        return choose(corpus or DEFAULT)
    if corpus not in (None, DEFAULT):
        raise Refusal(f"--services is for the corpus {DEFAULT}, and --corpus is {corpus}; leave out one of the two.")
    from loadtests.corpora.aws import AwsReference

    return AwsReference(services.split(","))


@click.command()
@client_options
@click.argument("text")
@click.option("--k", type=click.IntRange(1, 1000), default=5, show_default=True, help="Documents to find.")
@json_option
@refusing_errors()
def search_command(client: Client, text: str, k: int, as_json: bool) -> None:
    """Ask one question in plain words."""
    answer = client.search(text=text, k=k)
    if as_json:
        print_json(answer, indent=None)
        return
    shown = table("score", "document", "text", title=text)
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
@click.option("--limit", type=click.IntRange(1, 1_000_000_000), help="Embed only the first N texts.")
@click.option("--dims", type=click.Choice(["64", "128", "256"]), default="256", show_default=True, help="Dimensions.")
@refusing_errors()
def vectors_command(file: Path, corpus: str | None, limit: int | None, dims: str) -> None:
    """Embed the texts of a corpus and write FILE (.npy) for the benchmarks.

    Each text is embedded once, also those that arrive under load.
    """
    import numpy as np

    from service.embedding.model import Access
    from service.embedding.patience import PATIENT
    from service.embedding.providers import load
    from service.embedding.splitter import heading
    from service.storage.builds import Embedding

    chosen = choose(corpus or DEFAULT)
    found = chain(chosen.documents(), chosen.fresh())
    texts = list(islice(dict.fromkeys(heading(one.title, one.text) for one in found), limit))
    model = load(Embedding("wordllama", version("wordllama"), int(dims)), Access(), PATIENT)
    vectors = []
    with counting("texts", len(texts)) as progress:
        for first in range(0, len(texts), EMBEDDED_AT_ONCE):
            vectors.append(model.embed(texts[first : first + EMBEDDED_AT_ONCE]))
            progress(len(vectors[-1]))
    made = np.concatenate(vectors)
    np.save(file, made[np.linalg.norm(made, axis=1) > 0])
    console(stderr=True).print(f"{len(made)} texts in {file}")
