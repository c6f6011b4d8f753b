"""What verbs that act on a standing stack have in common: its outputs, and what goes wrong as a sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from infra.operations.outputs import Outputs, OutputsError, read_outputs
from infra.verbs.refusal import FAILED_EXIT_CODE, Refusal, unanswered


@contextmanager
def standing(path: Path, *refusals: type[Exception]) -> Iterator[Outputs]:
    """
    The outputs in a file. Within the block, OutputsError and `refusals` become a refusal of the call, and what AWS
    refuses, or that it does not answer, a failure.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    mistakes: tuple[type[Exception], ...] = (OutputsError, *refusals)
    try:
        yield read_outputs(path)
    except mistakes as error:
        raise Refusal(str(error)) from None
    except (BotoCoreError, ClientError) as error:
        click.echo(f"Error: {unanswered(error)}.", err=True)
        sys.exit(FAILED_EXIT_CODE)
