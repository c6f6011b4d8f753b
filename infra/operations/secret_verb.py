"""The verb `secret`: secrets that the program names and never reads."""

from __future__ import annotations

import sys

import click

from infra.configuration.settings import Settings
from infra.configuration.stack_file import own_values, stack_config
from infra.configuration.stack_settings import ConfigError, settings_from
from infra.operations.deployed import unanswered
from vectorfleet.options import stack_slot_option
from vectorfleet.refusal import Failure, Refusal, refusing


@click.command()
@click.argument("name", type=click.Choice(["embedding"]))
@click.option("--stack", required=True, help="The stack of the secret; it need not be deployed yet.")
@click.option("--delete", is_flag=True, help="Delete it; do this before `pulumi destroy`.")
@stack_slot_option
def secret(name: str, stack: str, delete: bool, slot: str) -> None:
    """
    Store a secret of the stack as a SecureString.

    The value is read from standard input; at a terminal, it is prompted for.

    `embedding` is the key for the embedding model's server. Processes read it when they start, and again when the
    server refuses them. A slot with an `embedding.url` of its own has a key of its own.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    with refusing(ConfigError):
        config = stack_config(stack)
        settings = settings_from(own_values(config))
    parameter = _parameter(settings, slot)
    try:
        ssm = boto3.client("ssm", config.get("aws:region"))
        if delete:
            ssm.delete_parameters(Names=[parameter])
        else:
            ssm.put_parameter(Name=parameter, Value=_given(), Type="SecureString", Overwrite=True)
    except (BotoCoreError, ClientError) as error:
        raise Failure(f"{unanswered(error)}.") from None
    click.echo(f"{parameter} is {'forgotten' if delete else 'stored'}.")


def _parameter(settings: Settings, slot: str) -> str:
    """Return the name of the secret of a slot, or of all if they share it."""
    asked = [one for one in settings.deployed if slot in ("", one.slot)]
    if not asked:
        raise Refusal(f"The stack has no slot {slot}; it has {' and '.join(settings.slots.recipes)}.")
    secrets = {one.embedding_secret for one in asked} - {""}
    if not secrets:
        providers = " and ".join(sorted({one.embedding.provider for one in asked}))
        raise Refusal(f"The stack's embedding.provider is {providers}, which takes no key.")
    if len(secrets) > 1:
        raise Refusal("The slots have servers of their own; name one with --slot blue or --slot green.")
    return secrets.pop()


def _given() -> str:
    value: str = click.prompt("Key", hide_input=True) if sys.stdin.isatty() else sys.stdin.read().strip()
    if not value:
        raise Refusal("Standard input is empty; write the key there, or run this at a terminal for a prompt.")
    return value
