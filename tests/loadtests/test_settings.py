from __future__ import annotations

import pytest

from infra.slo import objective
from loadtests.settings import Load, Settings, SettingsError, Targets, option_fields


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
        ("rate", 0.0, "--rate is 0.0; it must be more than 0."),
        ("window_seconds", -1.0, "--window-seconds is -1.0; it must be more than 0."),
        ("warmup_seconds", -1.0, "--warmup-seconds is -1.0; it must be 0 or more."),
        ("slow_share", 1.0, "--slow-share is 1.0; it must be between 0 and 1, both excluded."),
        ("recall_floor", 1.5, "--recall-floor is 1.5; it must be between 0 and 1."),
        ("alert_ms", 100.0, "--alert-ms is 100.0; it must be the target or more."),
    ],
)
def test_impossible_values_are_refused(name: str, value: float, sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_values({name: value})
    assert str(refused.value) == sentence
