"""Secrets that the program names and never sees."""

from __future__ import annotations

import sys

import click

from infra import naming
from infra.config import ConfigError, settings_from
from infra.stack import own_values, stack_config
from infra.verbs.standing import unanswered
from vectorfleet.refusal import Failure, Refusal, refusing


@click.command()
@click.argument("name", type=click.Choice(["embedding"]))
@click.option("--stack", required=True, help="The stack that it is for; it need not stand yet.")
@click.option("--delete", is_flag=True, help="Forget it, as before a stack is destroyed.")
def secret(name: str, stack: str, delete: bool) -> None:
    """
    Store a secret of the stack as a SecureString.

    The value is read from standard input, or asked for at a terminal.

    `embedding` is the key for the embedding model's server. Processes read it when they start, and again when the
    server refuses them.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    with refusing(ConfigError):
        config = stack_config(stack)
        settings = settings_from(own_values(config))
    if settings.embedding.provider != "openai":
        raise Refusal(f"The stack's embedding.provider is {settings.embedding.provider}, which takes no key.")
    parameter = naming.embedding_secret(settings.fleet)
    try:
        ssm = boto3.client("ssm", config.get("aws:region"))
        if delete:
            ssm.delete_parameters(Names=[parameter])
        else:
            ssm.put_parameter(Name=parameter, Value=_given(), Type="SecureString", Overwrite=True)
    except (BotoCoreError, ClientError) as error:
        raise Failure(f"{unanswered(error)}.") from None
    click.echo(f"{parameter} is {'forgotten' if delete else 'stored'}.")


def _given() -> str:
    value: str = click.prompt("Key", hide_input=True) if sys.stdin.isatty() else sys.stdin.read().strip()
    if not value:
        raise Refusal("Standard input held nothing; give the key there, or run it at a terminal to be asked.")
    return value
