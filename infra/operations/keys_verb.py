"""The verb `keys`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from infra.operations.access_keys import ROLES, AccessKeyError, AccessKeys, to_json
from infra.operations.deployed import standing
from vectorfleet.api_key import KEY_FILE, save_key
from vectorfleet.number_types import Number
from vectorfleet.options import outputs_option
from vectorfleet.output import console, print_json, table
from vectorfleet.refusal import Refusal


@click.group()
def keys() -> None:
    """Create, list and revoke keys of the API.

    AWS keeps digests, so a key is shown once.
    """


@keys.command()
@click.argument("name")
@outputs_option
@click.option("--role", type=click.Choice(ROLES), default="read", show_default=True, help="Role of the key.")
@click.option("--save", is_flag=True, help="Keep it as the file `key` beside the outputs, for this project's tools.")
@click.option("--rate", type=Number(0, 1_000_000, least_open=True), help="Requests a second at each router.")
def create(name: str, outputs: Path, role: str, save: bool, rate: float | None) -> None:
    """Create the key NAME and print it, alone, on standard output, or save it."""
    place = outputs.with_name(KEY_FILE)
    if save and place.exists():
        raise Refusal(f"{place} exists, and its content is stored nowhere else; move it away first.")
    if save and not os.access(outputs.parent, os.W_OK):
        raise Refusal(f"{outputs.parent} can't be written to; leave --save out, and keep what is printed.")
    with standing(outputs, AccessKeyError) as stack:
        key = AccessKeys(stack).create(name, role, rate)
    if save:
        click.echo(f"The key is in {save_key(outputs, key)}, for nobody but you.")
        return
    click.echo("Keep it now: it is stored nowhere and not shown again.", err=True)
    click.echo(key)


@keys.command("list")
@outputs_option
@click.option("--json", "as_json", is_flag=True, help="Plain JSON instead of a table.")
def list_(outputs: Path, as_json: bool) -> None:
    """List the keys, without their secrets."""
    with standing(outputs, AccessKeyError) as stack:
        found = AccessKeys(stack).listed()
    if as_json:
        print_json(to_json(found))
        return
    shown = table("key", "role", "requests/s at each router", "created")
    for key in found:
        rate = "no limit" if key.requests_per_second is None else f"{key.requests_per_second:g}"
        shown.add_row(key.name, key.role, rate, key.created)
    console().print(shown)


@keys.command()
@click.argument("name", required=False)
@outputs_option
@click.option("--all", "all_", is_flag=True, help="Every key; `pulumi destroy` leaves keys behind.")
def revoke(name: str | None, outputs: Path, all_: bool) -> None:
    """Revoke the key NAME, or all; routers refuse it within seconds."""
    if (name is None) != all_:
        raise Refusal("Name one key, or give --all and no name.")
    with standing(outputs, AccessKeyError) as stack:
        known = AccessKeys(stack)
        if name is not None:
            known.revoke(name)
        names = [name] if name is not None else known.revoke_all()
    click.echo(f"revoked: {', '.join(names) or 'none'}")
