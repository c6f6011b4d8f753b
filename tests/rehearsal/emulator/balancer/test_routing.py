"""Routing by rule, weight and health."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from rehearsal.emulator.balancer.listeners import Check, Group, Listener, Target, codes_of
from rehearsal.emulator.balancer.probes import Health, Outcome
from rehearsal.emulator.balancer.routing import Router, Weights, eligible
from rehearsal.emulator.balancer.rules import Rule, Shares, condition_of

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


def listener(*rules: Rule) -> Listener:
    return Listener("l", "app/front/1", "127.64.0.9", 8080, rules)


def shared(weights: Shares, **header: str) -> Rule:
    """Return a rule for requests with a header, or the default rule."""
    named = [{"HttpHeaderConfig": {"HttpHeaderName": name, "Values": [value]}} for name, value in header.items()]
    return Rule("-".join(header), tuple(map(condition_of, named)), weights)


def test_a_new_view_counts_from_the_next_request() -> None:
    first = listener(shared((("blue", 1), ("green", 0))))
    router = Router(first)
    assert router.next([]) is None
    router.update(first, {"blue": TARGETS[:2], "green": TARGETS[2:]})
    assert [router.next([]) for _ in range(4)] == [("blue", TARGETS[0]), ("blue", TARGETS[1])] * 2
    router.update(listener(shared((("green", 1),))), {"green": TARGETS[2:]})
    assert router.next([]) == ("green", TARGETS[2])


def test_the_first_rule_that_applies_decides_alone() -> None:
    tried = shared((("green", 1),), slot="green")
    late, others = shared((("blue", 1),), slot="*"), shared((("blue", 1), ("green", 1)))
    router = Router(listener())
    router.update(listener(tried, late, others), {"blue": TARGETS[:1], "green": ()})
    assert router.next([(b"slot", b"green")]) is None
    assert router.next([(b"slot", b"gold")]) == router.next([]) == ("blue", TARGETS[0])


@given(st.lists(st.booleans(), max_size=40))
def test_each_rule_shares_exactly_whatever_others_get(named: list[bool]) -> None:
    weights = (("blue", 3), ("green", 1))
    view = listener(shared(weights, slot="any"), shared(weights))
    router = Router(view)
    chosen: dict[bool, list[str]] = {True: [], False: []}
    for one in named:
        # A view that is read again changes no share.
        router.update(view, {"blue": TARGETS[:2], "green": TARGETS[2:]})
        choice = router.next([(b"slot", b"any")] if one else [])
        assert choice is not None
        chosen[one].append(choice.group)
    for groups in chosen.values():
        rounds = len(groups) // 4
        assert groups[: 4 * rounds].count("green") == rounds


def history(outcomes: str) -> list[str]:
    """Return the state after each check; + passes, - fails."""
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


def test_matchers_are_read_as_the_api_writes_them() -> None:
    assert codes_of("200") == ((200, 200),)
    assert codes_of("200,204-206") == ((200, 200), (204, 206))
