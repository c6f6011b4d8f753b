from __future__ import annotations

from types import SimpleNamespace

import pytest

from infra.facts.slo import objective
from loadtests.run.settings import Load, Settings, SettingsError, Targets, base_url, option_fields


def test_targets_are_those_of_the_objectives() -> None:
    assert Targets().p95_target_ms == objective("retrieval_p95_ms").target
    assert Targets().alert_ms == objective("retrieval_p95_ms").alert
    assert Targets().error_share == objective("error_rate_percent").target / 100


def test_values_round_trip() -> None:
    settings = Settings(load=Load(rate=7.5, seed=4, queries="q.jsonl"))
    assert Settings.from_values(settings.values()) == settings
    assert Settings.from_values({"unknown": 1}) == Settings()


def test_arguments_name_every_option() -> None:
    arguments = dict(argument[2:].split("=", 1) for argument in Settings().arguments())
    assert set(arguments) == {item.name.replace("_", "-") for item in option_fields()}
    assert arguments["rate"] == "40.0"


def test_types_of_options_are_kept() -> None:
    settings = Settings.from_values({"rate": "5", "seed": "9", "flight_cap": 3})
    assert (settings.load.rate, settings.load.seed, settings.load.flight_cap) == (5.0, 9, 3)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("rate", 0.0, "--rate: 0.0 is not in the range 0<x<=100000."),
        ("window_seconds", -1.0, "--window-seconds: -1.0 is not in the range 0<x<=86400."),
        ("warmup_seconds", -1.0, "--warmup-seconds: -1.0 is not in the range 0<=x<=86400."),
        ("slow_share", 1.0, "--slow-share: 1.0 is not in the range 0<x<1."),
        ("recall_floor", 1.5, "--recall-floor: 1.5 is not in the range 0<=x<=1."),
        ("steal_share", float("nan"), "--steal-share: nan is not in the range 0<=x<=1."),
        ("k", "ten", "--k: 'ten' is not a valid integer range."),
        ("alert_ms", 100.0, "--alert-ms is 100; it must be at least --p95-target-ms, 200."),
        (
            "window_seconds",
            80_000.0,
            "--rate over 80002 s makes 3,200,080 requests; a run has at most 2,000,000. "
            "Make the run shorter, and take more runs.",
        ),
    ],
)
def test_impossible_values_are_refused(name: str, value: object, sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_values({name: value})
    assert str(refused.value) == sentence


@pytest.mark.parametrize("given", ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "http://127.0.0.1:8080//"])
def test_an_endpoint_has_no_last_slash(given: str) -> None:
    assert base_url(given) == "http://127.0.0.1:8080"
    assert base_url("https://fleet.example/search/") == "https://fleet.example/search"


@pytest.mark.parametrize("given", ["", "127.0.0.1:8080", "http://", "ftp://x", "http://x:99999", "http://x/?a=1"])
def test_a_bad_endpoint_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match="is not a URL; give one such as"):
        base_url(given)


def test_infinite_numbers_are_refused() -> None:
    for item in option_fields():
        for given in ("inf", "nan", "1e300", float("inf")) if item.metadata["kind"] else ():
            with pytest.raises(SettingsError, match=f"--{item.name.replace('_', '-')}: "):
                Settings.from_values({item.name: given})


def options(**given: object) -> SimpleNamespace:
    return SimpleNamespace(**(Settings().values() | {"run_time": None} | given))


def test_run_time_is_the_warmup_and_the_window() -> None:
    assert Settings.from_options(options()) == Settings()
    assert Settings.from_options(options(run_time=30)).load == Load(window_seconds=28.0)
    assert Settings.from_options(options(run_time=30, warmup_seconds=5.0)).run_seconds == 30


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"run_time": 30, "window_seconds": 20.0}, "give one of them"),
        ({"run_time": 2}, "the warm-up takes 2 s of it"),
        ({"run_time": 10**6}, "--window-seconds: 999998.0 is not in the range"),
    ],
)
def test_bad_run_time_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Settings.from_options(options(**given))
