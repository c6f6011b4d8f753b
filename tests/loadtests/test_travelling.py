"""What a worker on another machine needs travels to it: questions, documents, the key, and where the master is."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from loadtests.__main__ import main
from loadtests.orders import ORDERS_OPTION, Order, orders, take_order
from loadtests.queries import Query, QuerySet
from loadtests.run import Address, Plan, master_arguments
from loadtests.settings import Load, Settings
from loadtests.worker import Master
from loadtests.writer import Documents

QUERIES = QuerySet(
    (Query("q", ("aws/a",), beside=("load/1/0",)), Query("r", min_hits=0), Query(vector="AACAPw==")), 3, "aws/"
)
SETTINGS = Settings(Load(window_seconds=3.0))
DOCUMENTS = Documents((("t", "x", ""), ("u", "y", [0.5, 1.0])), 7)


def environment(given: Any, client: str) -> Any:
    """A worker's, after the master's options arrived."""
    return SimpleNamespace(
        parsed_options=SimpleNamespace(**{ORDERS_OPTION: given}), runner=SimpleNamespace(client_id=client)
    )


def test_an_order_arrives_as_it_was_given_and_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTORFLEET_KEY", "vf_load_1")
    # Options go over a wire that knows plain values alone.
    given = json.loads(json.dumps(orders("run", ["w0", "w1"], SETTINGS, QUERIES, DOCUMENTS)))
    monkeypatch.delenv("VECTORFLEET_KEY")
    there = environment(given, "w1")
    headers = {"Authorization": "Bearer vf_load_1"}
    assert take_order(there) == Order("run", 1, 2, SETTINGS, QUERIES, DOCUMENTS, headers)
    assert take_order(there) is None
    assert take_order(environment(given, "w7")) is None


def test_workers_are_here_or_come_from_elsewhere() -> None:
    plan = Plan("http://x", Settings(), workers=4)
    assert master_arguments(Plan("http://x", Settings())) == []
    assert master_arguments(plan)[:2] == ["--processes", "4"]
    away = master_arguments(Plan("http://x", Settings(), workers=4, listen=Address("0.0.0.0", 5557)))
    assert away[:7] == [
        "--master",
        "--master-bind-host",
        "0.0.0.0",
        "--master-bind-port",
        "5557",
        "--expect-workers",
        "4",
    ]
    assert "--processes" not in away


def test_an_instance_runs_what_the_parameter_says() -> None:
    command = Master("10.0.0.7", 5600, 2).command()
    assert command[2:] == ["--worker", "--master-host", "10.0.0.7", "--master-port", "5600", "--processes", "2"]


@pytest.mark.parametrize("given", ["5557", "host:", "host:80", "host:99999", ":5557"])
def test_an_address_that_can_not_be_is_a_mistake_in_the_call(given: str) -> None:
    done = CliRunner().invoke(main, ["gate", "--endpoint", "http://127.0.0.1:1", "--listen", given])
    assert done.exit_code == 64
    assert "it must be HOST:PORT" in done.output
