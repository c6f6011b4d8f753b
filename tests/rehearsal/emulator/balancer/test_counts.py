"""Metrics of a load balancer: each request and answer is counted once."""

from __future__ import annotations

from typing import Any

from rehearsal.emulator.balancer.counts import Counts, Hosts

BLUE, GREEN = (f"arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/{name}/1" for name in ("blue", "green"))


def shown(data: list[dict[str, Any]]) -> dict[tuple[str, ...], float]:
    """Return values by the values of the dimensions and the name."""
    return {(*(d["Value"] for d in one["Dimensions"]), one["MetricName"]): one["Value"] for one in data}


def test_answers_of_targets_and_of_the_balancer_are_apart() -> None:
    counts = Counts()
    for status, group, by_target in (
        (200, BLUE, True),
        (404, BLUE, True),
        (503, BLUE, True),
        (200, GREEN, True),
        (502, BLUE, False),
        (503, None, False),
        (400, None, False),
    ):
        counts.answered("app/front/1", status, group=group, by_target=by_target)
    counts.answered("app/other/2", 200, group=GREEN, by_target=True)
    assert shown(counts.take()) == {
        ("app/front/1", "RequestCount"): 5,
        ("app/front/1", "HTTPCode_Target_2XX_Count"): 2,
        ("app/front/1", "HTTPCode_Target_4XX_Count"): 1,
        ("app/front/1", "HTTPCode_Target_5XX_Count"): 1,
        ("app/front/1", "HTTPCode_ELB_5XX_Count"): 2,
        ("app/front/1", "HTTPCode_ELB_4XX_Count"): 1,
        ("targetgroup/blue/1", "app/front/1", "RequestCount"): 4,
        ("targetgroup/blue/1", "app/front/1", "HTTPCode_Target_2XX_Count"): 1,
        ("targetgroup/blue/1", "app/front/1", "HTTPCode_Target_4XX_Count"): 1,
        ("targetgroup/blue/1", "app/front/1", "HTTPCode_Target_5XX_Count"): 1,
        ("targetgroup/green/1", "app/front/1", "RequestCount"): 1,
        ("targetgroup/green/1", "app/front/1", "HTTPCode_Target_2XX_Count"): 1,
        ("app/other/2", "RequestCount"): 1,
        ("app/other/2", "HTTPCode_Target_2XX_Count"): 1,
        ("targetgroup/green/1", "app/other/2", "RequestCount"): 1,
        ("targetgroup/green/1", "app/other/2", "HTTPCode_Target_2XX_Count"): 1,
    }
    assert counts.take() == []


def test_healthy_targets_share_the_requests() -> None:
    counts = Counts()
    for _ in range(6):
        counts.answered("app/front/1", 200, group=BLUE, by_target=True)
    hosts = [Hosts("app/front/1", BLUE, 4, 2, 1), Hosts("app/front/1", GREEN, 0, 0, 0)]
    data = shown(counts.take(hosts))
    blue, green = ("targetgroup/blue/1", "app/front/1"), ("targetgroup/green/1", "app/front/1")
    assert (data[*blue, "HealthyHostCount"], data[*blue, "UnHealthyHostCount"]) == (2, 1)
    assert data[*blue, "RequestCountPerTarget"] == data["targetgroup/blue/1", "RequestCountPerTarget"] == 3
    assert (data[*green, "HealthyHostCount"], (*green, "RequestCountPerTarget") in data) == (0, False)
    assert shown(counts.take([Hosts("app/front/1", BLUE, 2, 0, 2)]))[*blue, "RequestCountPerTarget"] == 0
