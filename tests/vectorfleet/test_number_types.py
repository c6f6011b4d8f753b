"""No number of any command line is infinite, not a number, or larger than the program can bear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import pytest

from loadtests.run.settings import option_fields
from rehearsal.emulator.__main__ import main as emulator
from rehearsal.emulator.balancer.balancer import main as balancer
from rehearsal.emulator.compute.compute import main as compute
from runbooks.durations import Duration
from tests.real_locust import argument_parser
from vectorfleet.door import main
from vectorfleet.number_types import Number

TOO_MUCH = ("inf", "-inf", "nan", "1e300", "9" * 300, f"{'9' * 400}s")
NUMBERS = (click.types.IntParamType, click.types.FloatParamType, Duration)


def parameters(command: click.Command, path: str) -> Iterator[tuple[str, click.Parameter]]:
    """Every parameter of a command and of the commands below it."""
    for parameter in command.params:
        yield f"{path} {parameter.name}", parameter
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            verb = command.get_command(context, name)
            assert verb is not None
            yield from parameters(verb, f"{path} {name}")


def all_parameters() -> Iterator[tuple[str, click.Parameter]]:
    for name, command in (("vectorfleet", main), ("balancer", balancer), ("compute", compute), ("emulator", emulator)):
        yield from parameters(command, name)


NUMBERED = [one for one in option_fields() if isinstance(one.metadata["kind"], NUMBERS)]
FOUND = {name: parameter for name, parameter in all_parameters() if isinstance(parameter.type, NUMBERS)}


def test_the_walk_finds_the_numbers_of_every_program() -> None:
    assert {name.split()[0] for name in FOUND} == {"vectorfleet", "balancer", "compute", "emulator"}
    assert {f"vectorfleet load gate {one.name}" for one in NUMBERED} <= set(FOUND)


@pytest.mark.parametrize("name", sorted(FOUND))
def test_number_of_a_command_is_bounded(name: str) -> None:
    for given in TOO_MUCH:
        with pytest.raises(click.BadParameter):
            FOUND[name].type.convert(given, None, None)


def test_number_of_the_locustfile_is_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    import loadtests.locustfile  # noqa: F401  adds its options to Locust's parser

    parser: Any = argument_parser.get_parser(default_config_files=[])
    known = argument_parser.default_args_dict()
    ours = {action.dest: action for action in parser._actions if action.dest not in known}
    assert {one.name for one in option_fields()} <= set(ours)
    for one in option_fields():
        for given in TOO_MUCH if one.metadata["kind"] else ():
            with pytest.raises(SystemExit, match="64"):
                parser.parse_args([f"--{one.name.replace('_', '-')}={given}"])
            assert "not " in capsys.readouterr().err


@pytest.mark.parametrize("given", ["0", "60.0001", "nan", "inf", "five"])
def test_bounds_are_named_where_a_number_is_refused(given: str) -> None:
    with pytest.raises(click.BadParameter, match=r"0<x<=60|not a valid float"):
        Number(0, 60, least_open=True).convert(given, None, None)
    assert Number(0, 60).convert("60", None, None) == 60.0
