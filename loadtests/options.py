"""Options that several verbs of the load tests have, and the errors that end each of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import click

from loadtests.corpora.choice import DEFAULT, FILE_ENDING, NAMES
from loadtests.errors import LoadTestError
from service.client import Client, ServiceError, Unanswered
from vectorfleet.api_key import find_key
from vectorfleet.options import outputs_option, slot_option
from vectorfleet.refusal import Refusal, refusing

Command = Callable[..., Any]

refusing_errors = partial(refusing, LoadTestError, ServiceError, Unanswered)

corpus_option = click.option(
    "--corpus",
    metavar="NAME|FILE",
    help=f"{', '.join(NAMES)}, or a file of yours that ends in {FILE_ENDING}; {DEFAULT} by default.",
)
questions_option = click.option(
    "--questions",
    type=click.Path(path_type=Path),
    help="Golden questions, FILE.yaml; by default those of the corpus.",
)


def endpoint_options(command: Command) -> Command:
    """Add `--endpoint` and `--outputs`, and pass the endpoint."""

    @outputs_option
    @click.option(
        "--endpoint",
        envvar="VECTORFLEET_ENDPOINT",
        help="Base URL of the API, or VECTORFLEET_ENDPOINT; by default that of the stack outputs.",
    )
    @wraps(command)
    def with_endpoint(endpoint: str | None, outputs: Path, **values: Any) -> Any:
        return command(endpoint=endpoint_of(endpoint, outputs), **values)

    return with_endpoint


def client_options(command: Command) -> Command:
    """Add `--endpoint`, `--outputs`, `--collection` and `--slot`, and pass a client."""

    @endpoint_options
    @click.option(
        "--collection", default="", help="A collection of the fleet; by default the documents outside collections."
    )
    @slot_option
    @wraps(command)
    def with_client(endpoint: str, collection: str, slot: str, **values: Any) -> Any:
        return command(client=Client(endpoint, collection=collection, slot=slot), **values)

    return with_client


def endpoint_of(endpoint: str | None, outputs: Path) -> str:
    """Return the endpoint given, or that of the stack outputs; use the key beside the outputs from now on."""
    find_key(outputs)
    if endpoint:
        return endpoint
    # Instances that generate load do not carry this module.
    from infra.stack.outputs import StackError, read_fleet

    try:
        return read_fleet(outputs).endpoint
    except StackError as error:
        raise Refusal(f"{error}. Or give --endpoint http://…") from None
