"""The verb `embed`: the embedding memory of a slot is filled in bulk, by many workers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError

from loadtests.bulk_job import BulkFailure, Job, Opened, embed_on_ray
from loadtests.options import refusing_errors
from service.embedding.memory import MOST_VECTORS
from service.embedding.model import ModelUnavailable, UnknownModel
from service.indexer.bulk import Embedded, Estimate, Part
from service.settings import BadSettings
from service.storage.entry import Damaged
from service.storage.objects import StoreError
from vectorfleet.options import json_option, outputs_option, stack_slot_option
from vectorfleet.output import console, counting, print_json, table
from vectorfleet.refusal import Refusal, failing, refusing

# A part that is lost with its worker is done again, so there are many small ones.
PARTS_OF_A_WORKER = 16
AWS_ERRORS = (BotoCoreError, ClientError)
WORKERS_SHOWN = (1, 2, 4, 8, 16, 32, 64, 128)


class PartType(click.ParamType[Part]):
    """A part as I/N: the first of eight is 1/8."""

    name = "I/N"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Part:
        """Return the part, counted from 0."""
        number, _, count = str(value).partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            self.fail(f"{value} is no part; the parts of eight are 1/8 to 8/8", param, ctx)
        return Part(int(number) - 1, int(count))


@click.command()
@outputs_option
@stack_slot_option
@click.option("--corpus", metavar="NAME|FILE", help="Embed a corpus before it is written; else the documents log.")
@click.option("--workers", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Workers; Ray from 2 on.")
@click.option("--cluster", metavar="ADDRESS", default="", help="A running Ray cluster: auto, HOST:PORT, ray://…")
@click.option("--part", type=PartType(), help="Embed this part alone, as one of N machines without Ray.")
@click.option("--estimate", is_flag=True, help="Only say how much there is, and what it takes, from a sample.")
@click.option(
    "--instance-type",
    default="m7i.xlarge",
    show_default=True,
    metavar="TYPE",
    help="The workers' machine, for the dollars of an estimate.",
)
@click.option("--model-folder", default="", help="A local model's files, on each machine.")
@json_option
@refusing_errors()
def embed(
    outputs: Path,
    slot: str,
    corpus: str | None,
    workers: int,
    cluster: str,
    part: Part | None,
    estimate: bool,
    instance_type: str,
    model_folder: str,
    as_json: bool,
) -> None:
    """Embed in bulk: fill a slot's embedding memory by many workers.

    The slot's indexer finds the vectors there and asks no model. Called again, it goes on where it ended.
    """
    if part is not None and (workers > 1 or cluster):
        raise Refusal(
            "--part is for machines without Ray, and --workers and --cluster are for Ray; leave out one side."
        )
    with (
        refusing(UnknownModel, BadSettings),
        failing(StoreError, Damaged, ModelUnavailable, BulkFailure, *AWS_ERRORS),
    ):
        job = _job(outputs, slot, corpus, model_folder)
        opened = job.open()
        if estimate:
            _say_estimate(opened.worker.estimate(opened.source), instance_type, as_json)
            return
        if part is not None:
            parts, done = 1, iter([opened.embed(part)])
        elif workers == 1 and not cluster:
            parts = _parts(opened, 1)
            done = (opened.embed(Part(number, parts)) for number in range(parts))
        else:
            parts = _parts(opened, workers)
            done = embed_on_ray(job, parts, workers, cluster)
        _say_done(_sum(done, parts), as_json)


def _job(outputs: Path, slot: str, corpus: str | None, model_folder: str) -> Job:
    # Instances carry this module, and do not carry the reader of outputs.
    from infra.configuration.stack_file import is_loopback
    from infra.stack.outputs import StackError, read_stack

    with refusing(StackError):
        stack = read_stack(outputs, slot=slot)
    environment = {"AWS_REGION": stack.region}
    if endpoint := stack.aws_endpoint:
        environment["AWS_ENDPOINT_URL"] = endpoint
        if is_loopback(endpoint):
            # The emulated AWS takes any key.
            environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return Job(stack.parameters, stack.slot, corpus, model_folder, environment)


def _parts(opened: Opened, workers: int) -> int:
    return max(1, min(workers * PARTS_OF_A_WORKER, opened.source.size))


def _sum(done: Iterator[Embedded], parts: int) -> Embedded:
    total = Embedded()
    with counting("parts", parts) as progress:
        for one in done:
            total += one
            progress(1)
    return total


def _say_done(done: Embedded, as_json: bool) -> None:
    if as_json:
        print_json(done._asdict())
        return
    console().print(
        f"{done.documents:,} documents, {done.texts:,} texts: {done.texts - done.asked:,} were remembered, "
        f"{done.asked:,} embedded" + (f", {done.failed:,} of which failed" if done.failed else "")
    )


def _say_estimate(found: Estimate, instance_type: str, as_json: bool) -> None:
    usd = found.hours(1) * _usd_per_hour(instance_type, found.processors)
    hours = {workers: found.hours(workers) for workers in WORKERS_SHOWN}
    if as_json:
        print_json(found._asdict() | {"hours_by_workers": hours, "usd": usd, "instance_type": instance_type})
        return
    out = console()
    out.print(
        f"about {found.documents:,} documents, {found.texts:,} texts; {found.to_ask:,} texts are not remembered: "
        f"{found.tokens_to_ask:,} tokens. A worker embeds {found.texts_per_second:,.0f} texts a second on "
        f"{found.processors:.1f} processors like this machine's. All workers together cost {usd:,.2f} USD on "
        f"{instance_type}, without the price of a model behind an API."
    )
    if not found.is_remembered:
        out.print(f"The memory holds {MOST_VECTORS:,} vectors; the indexer embeds the others again.", style="yellow")
    shown = table("workers", "hours")
    for workers in WORKERS_SHOWN:
        shown.add_row(str(workers), f"{hours[workers]:,.2f}")
    out.print(shown)


def _usd_per_hour(instance_type: str, processors: float) -> float:
    """Return the price of a worker: the part of an instance whose processors it uses."""
    from infra.facts.instance_types import BY_NAME

    if (machine := BY_NAME.get(instance_type)) is None:
        raise Refusal(f"--instance-type {instance_type} is not in the catalog. Choose one of {', '.join(BY_NAME)}.")
    return machine.usd_per_hour * min(1.0, math.ceil(processors) / machine.vcpus)
