"""Errors of settings name the variable or parameter, and say what to set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.facts.index_parameters import BOUNDS, DEFAULTS
from service import settings
from service.router.api.requests import IndexChoice
from service.settings import BadSettings, load_parameters, process_from_environment
from service.storage.builds import IndexParameters

PARAMETERS: dict[str, object] = {
    "storage": {"documents": "docs", "index": "idx", "artifacts": "art"},
    "embedding": {"model": "wordllama", "version": "0.4.0.post1", "dims": 256},
    "chunking": {"size": 300, "overlap": 0},
    "index": {"type": "hnsw", "metric": "cosine", "m": 16, "ef_construction": 200, "ef_search": 100},
    "fleet": {"shards": 2, "replicas": 2, "metrics_period_seconds": 10},
}


class Ssm:
    """Parameters in two pages."""

    def __init__(self, values: dict[str, str]) -> None:
        self._items = [{"Name": f"/vectorfleet/t/{name}", "Value": value} for name, value in values.items()]

    def get_paginator(self, _: str) -> Ssm:
        return self

    def paginate(self, **_: object) -> Iterator[dict[str, Any]]:
        yield {"Parameters": self._items[:2]}
        yield {"Parameters": self._items[2:]}


def _load(monkeypatch: pytest.MonkeyPatch, slot: str = "blue", **changes: str | None) -> settings.Parameters:
    values = {name: json.dumps(value) for name, value in PARAMETERS.items()} | changes
    present = {name: value for name, value in values.items() if value is not None}
    monkeypatch.setattr(settings, "aws_client", lambda _: Ssm(present))
    return load_parameters("/vectorfleet/t", slot)


def test_parameters_are_read_over_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = _load(monkeypatch)
    assert parameters.storage.index == "idx"
    assert (parameters.fleet.shards, parameters.fleet.metrics_period_seconds) == (2, 10)
    assert parameters.fleet.snapshot_seconds == 21_600


def test_a_slots_own_parameters_come_before_the_fleets(monkeypatch: pytest.MonkeyPatch) -> None:
    own: dict[str, Any] = {"green/chunking": '{"size": 500, "overlap": 5}'}
    assert _load(monkeypatch, "green", **own).chunking.size == 500
    assert _load(monkeypatch, "blue", **own).chunking.size == 300
    with pytest.raises(BadSettings, match="parameter /vectorfleet/t/green/chunking is"):
        _load(monkeypatch, "green", **{"green/chunking": "{}"})


def test_a_missing_parameter_is_named_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings) as bad:
        _load(monkeypatch, fleet=None)
    assert str(bad.value) == (
        "parameter /vectorfleet/t/fleet is missing; found: ['chunking', 'embedding', 'index', 'storage']"
    )


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("fleet", "{", "Input data was truncated"),
        ("fleet", '{"shards": "two", "replicas": 2}', "Expected `int`, got `str` - at `$.shards`"),
        ("chunking", '{"size": 300}', "missing required field `overlap`"),
        ("index", json.dumps(PARAMETERS["index"]).replace("hnsw", "lsh"), "Invalid enum value 'lsh'"),
    ],
)
def test_an_invalid_parameter_is_named_with_value_and_reason(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    with pytest.raises(BadSettings) as bad:
        _load(monkeypatch, **{name: value})
    assert str(bad.value).startswith(f"parameter /vectorfleet/t/{name} is {value!r}: ")
    assert reason in str(bad.value)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A node's variables, set."""
    values = {
        "VECTORFLEET_FLEET": "t",
        "VECTORFLEET_ROLE": "node",
        "VECTORFLEET_SLOT": "blue",
        "VECTORFLEET_PARAMETERS": "/vectorfleet/t",
        "VECTORFLEET_SHARD": "1",
        "VECTORFLEET_PORT": "8080",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


@pytest.mark.usefixtures("environment")
def test_a_process_s_place_comes_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTORFLEET_DATA", "/disk")
    process = process_from_environment()
    assert (process.role, process.shard, process.port, str(process.data_folder)) == ("node", 1, 8080, "/disk")


@pytest.mark.usefixtures("environment")
def test_where_the_models_files_are_is_the_machines_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTORFLEET_MODEL_FOLDER", "/models/1")
    embedding = {"model": "m", "version": "1", "dims": 4, "provider": "openai", "url": "http://m", "folder": "/else"}
    access = process_from_environment().access(_load(monkeypatch, embedding=json.dumps(embedding)))
    assert (access.url, access.folder) == ("http://m", "/models/1")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("name", ["FLEET", "ROLE", "SLOT", "PARAMETERS"])
def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(f"VECTORFLEET_{name}")
    with pytest.raises(BadSettings, match=rf"missing required field `{name.lower()}`.*VECTORFLEET_{name}"):
        process_from_environment()


@pytest.mark.usefixtures("environment")
def test_a_variable_of_the_wrong_kind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTORFLEET_PORT", "http")
    with pytest.raises(BadSettings, match=r"Expected `int`, got `str` - at `\$\.port`"):
        process_from_environment()


@pytest.mark.parametrize("name", BOUNDS)
def test_an_index_parameter_outside_its_range_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    least, most = BOUNDS[name]
    for given in (least - 1, most + 1):
        value = json.dumps({**dict(PARAMETERS["index"]), name: given})  # type: ignore[call-overload]
        with pytest.raises(BadSettings, match=rf"index: {name} is {given}; allowed: {least} to {most}"):
            _load(monkeypatch, index=value)
    for given in (least, most):
        value = json.dumps({**dict(PARAMETERS["index"]), name: given})  # type: ignore[call-overload]
        assert getattr(_load(monkeypatch, index=value).index, name) == given


def test_index_defaults_are_those_of_the_program() -> None:
    chosen = IndexChoice()
    assert {name: getattr(chosen, name) for name in DEFAULTS} == DEFAULTS
    required = {name: DEFAULTS[name] for name in ("m", "ef_construction", "ef_search")}
    built = IndexParameters("hnsw", "cosine", **required)
    assert {name: getattr(built, name) for name in DEFAULTS} == DEFAULTS
