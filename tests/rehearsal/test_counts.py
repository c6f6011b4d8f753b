"""A load balancer's counts: who answered what, each counted once."""

from __future__ import annotations

from rehearsal.balancer.counts import Counts


def test_answers_of_targets_and_of_the_balancer_are_told_apart_and_zero_is_not_sent() -> None:
    counts = Counts()
    for status, by_target in ((200, True), (404, True), (503, True), (200, True), (502, False), (400, False)):
        counts.answered("app/front/1", status, by_target=by_target)
    counts.answered("app/other/2", 200, by_target=True)
    data = counts.take()
    assert {(one["Dimensions"][0]["Value"], one["MetricName"]): one["Value"] for one in data} == {
        ("app/front/1", "RequestCount"): 5,
        ("app/front/1", "HTTPCode_Target_2XX_Count"): 2,
        ("app/front/1", "HTTPCode_Target_4XX_Count"): 1,
        ("app/front/1", "HTTPCode_Target_5XX_Count"): 1,
        ("app/front/1", "HTTPCode_ELB_5XX_Count"): 1,
        ("app/front/1", "HTTPCode_ELB_4XX_Count"): 1,
        ("app/other/2", "RequestCount"): 1,
        ("app/other/2", "HTTPCode_Target_2XX_Count"): 1,
    }
    assert counts.take() == []
