"""Workers on other machines: they receive questions, documents, the key, and the address of the master."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from loadtests.generate.gate_runs import Address, Plan, master_arguments
from loadtests.generate.load_shares import SHARES_OPTION, LoadShare, hand_out, take_share
from loadtests.generate.worker import Master
from loadtests.run.documents import Documents
from loadtests.run.queries import Query, QuerySet
from loadtests.run.settings import Load, Settings
from vectorfleet.door import main

QUERIES = QuerySet(
    (Query("q", ("aws/a",), beside=("load/1/0",)), Query("r", min_hits=0), Query(vector="AACAPw==")), 3, "aws/"
)
SETTINGS = Settings(Load(window_seconds=3.0))
DOCUMENTS = Documents((("t", "x", ""), ("u", "y", [0.5, 1.0])), 7)


def environment(given: Any, client: str) -> Any:
    """Return the environment of a worker that has the master's options."""
    return SimpleNamespace(
        parsed_options=SimpleNamespace(**{SHARES_OPTION: given}), runner=SimpleNamespace(client_id=client)
    )


def test_a_share_arrives_as_it_was_given_and_is_taken_once() -> None:
    share = LoadShare("run", 2, SETTINGS, QUERIES, DOCUMENTS, {"Authorization": "Bearer vf_load_1"})
    # Options travel as plain values.
    given = json.loads(json.dumps(hand_out(share, ["w0", "w1"])))
    there = environment(given, "w1")
    assert take_share(there) == replace(share, share=1)
    assert take_share(there) is None
    assert take_share(environment(given, "w7")) is None


def test_workers_are_local_or_on_other_machines() -> None:
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


def test_an_instance_runs_the_workers_of_the_parameter() -> None:
    command = Master("10.0.0.7", 5600, 2).command()
    assert command[2:] == ["--worker", "--master-host", "10.0.0.7", "--master-port", "5600", "--processes", "2"]


@pytest.mark.parametrize("given", ["5557", "host:", "host:80", "host:99999", ":5557"])
def test_a_bad_listen_address_is_refused(given: str) -> None:
    done = CliRunner().invoke(main, ["load", "gate", "--endpoint", "http://127.0.0.1:1", "--listen", given])
    assert done.exit_code == 64
    assert "it must be HOST:PORT" in done.output
