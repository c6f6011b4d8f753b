"""Requests are shared as weights and health say, exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from rehearsal.balancer.listeners import Check, Group, Listener, Target, codes_of, weights_of
from rehearsal.balancer.probes import Health, Outcome
from rehearsal.balancer.routing import Router, Weights, eligible

CHECK = Check("/healthz", None, 5, 2, 3, 2, ((200, 299),))
TARGETS = tuple(Target(f"i-{number}", f"127.64.0.{number}", 8080) for number in range(4))
GROUP = Group("arn", CHECK, TARGETS)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=4), st.integers(1, 5))
def test_weights_share_exactly_over_full_rounds(weights: list[int], rounds: int) -> None:
    pairs = tuple((f"group-{number}", weight) for number, weight in enumerate(weights))
    choice = Weights()
    if not sum(weights):
        assert choice.choose(pairs) is None
        return
    chosen = Counter(choice.choose(pairs) for _ in range(rounds * sum(weights)))
    assert {arn: chosen[arn] for arn, _ in pairs} == {arn: weight * rounds for arn, weight in pairs}


def states(*words: str) -> Callable[[str, Target], str]:
    return lambda _, target: words[TARGETS.index(target)]


def test_only_healthy_targets_get_requests() -> None:
    assert eligible(GROUP, states("healthy", "unhealthy", "initial", "healthy")) == (TARGETS[0], TARGETS[3])


def test_all_unhealthy_fails_open_but_initial_ones_wait() -> None:
    assert eligible(GROUP, states(*["unhealthy"] * 4)) == TARGETS
    assert eligible(GROUP, states("unhealthy", "initial", "unhealthy", "unhealthy")) == ()
    assert eligible(Group("arn", CHECK, ()), states()) == ()


def test_a_new_view_counts_from_the_next_request() -> None:
    listener = Listener("l", "app/front/1", "127.64.0.9", 8080, (("blue", 1), ("green", 0)))
    router = Router(listener)
    assert router.next() is None
    router.update(listener, {"blue": TARGETS[:2], "green": TARGETS[2:]})
    assert [router.next() for _ in range(4)] == [("blue", TARGETS[0]), ("blue", TARGETS[1])] * 2
    router.update(Listener("l", "app/front/1", "127.64.0.9", 8080, (("green", 1),)), {"green": TARGETS[2:]})
    assert router.next() == ("green", TARGETS[2])


def history(outcomes: str) -> list[str]:
    """States after each check; + passes, - fails."""
    health, found = Health(), []
    for letter in outcomes:
        health = health.after(Outcome(letter == "+", "Target.Timeout"), CHECK)
        found.append(health.state)
    return found


def test_the_first_passed_check_makes_a_new_target_healthy() -> None:
    assert history("+") == ["healthy"]
    assert history("-+") == ["initial", "healthy"]


def test_thresholds_need_a_row_without_a_gap() -> None:
    assert history("+-+--") == ["healthy"] * 4 + ["unhealthy"]
    assert history("--++-+++") == ["initial", *["unhealthy"] * 6, "healthy"]


def test_matchers_and_actions_are_read_as_the_api_writes_them() -> None:
    assert codes_of("200") == ((200, 200),)
    assert codes_of("200,204-206") == ((200, 200), (204, 206))
    assert weights_of([{"Type": "forward", "TargetGroupArn": "a"}]) == (("a", 1),)
    config = {"TargetGroups": [{"TargetGroupArn": "a", "Weight": 9}, {"TargetGroupArn": "b", "Weight": 0}]}
    assert weights_of([{"Type": "forward", "ForwardConfig": config}]) == (("a", 9), ("b", 0))
    assert weights_of([{"Type": "redirect"}]) == ()
