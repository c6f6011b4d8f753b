"""`python -m rehearsal.emulator`: the emulated AWS on the loopback."""

from __future__ import annotations

import logging
import signal
import sys

import click


def _leave(_signal: int, _frame: object) -> None:
    sys.exit(0)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--port", default=4566, show_default=True, type=click.IntRange(1, 65535), help="Port on 127.0.0.1.")
def main(port: int) -> None:
    """Serve the emulated AWS until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    # A late import spares --help the time that moto needs.
    from rehearsal.emulator.server import PortInUseError, serve

    try:
        serve(port)
    except PortInUseError as problem:
        raise click.ClickException(str(problem)) from None


if __name__ == "__main__":
    main()
