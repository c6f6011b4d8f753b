"""The verification of a slot: its verdict, its checks, and for how long a switch may rest on it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runbooks.slots.comparison import PairedAnswers
from runbooks.slots.verification import (
    VALID_SECONDS,
    Check,
    Verification,
    documents_check,
    golden_checks,
)
from vectorfleet.verdicts import Verdict

RECIPE: dict[str, Any] = {"shards": 2, "index": {"type": "hnsw", "ef_search": 100}}
NOW_MS = 1_800_000_000_000


def verification(*verdicts: Verdict, **changes: Any) -> Verification:
    checks = [Check(f"check {number}", verdict, "") for number, verdict in enumerate(verdicts)]
    made = Verification("green", "b-1", "b-0", RECIPE, 7, checks, NOW_MS)
    return msgspec.structs.replace(made, **changes)


def answers(gained: int, lost: int, relevance: float = 0.9, recall: float = 0.99) -> PairedAnswers:
    return PairedAnswers(100, ("g",) * gained, ("l",) * lost, relevance, recall)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((), Verdict.VOID),
        ((Verdict.PASS, Verdict.PASS), Verdict.PASS),
        ((Verdict.PASS, Verdict.UNDECIDED), Verdict.UNDECIDED),
        ((Verdict.UNDECIDED, Verdict.VOID), Verdict.VOID),
        ((Verdict.VOID, Verdict.FAIL, Verdict.PASS), Verdict.FAIL),
    ],
)
def test_the_worst_check_is_the_verdict(verdicts: tuple[Verdict, ...], expected: Verdict) -> None:
    assert verification(*verdicts).verdict is expected


def test_a_fresh_verification_of_the_same_build_counts() -> None:
    assert verification(Verdict.PASS).refusal("b-1", RECIPE, NOW_MS + 1_000) == ""


@pytest.mark.parametrize(
    ("changes", "build", "recipe", "age_seconds", "reason"),
    [
        ({}, "b-2", RECIPE, 1.0, "build b-1 was verified, and the slot now has build b-2"),
        ({}, "b-1", RECIPE | {"shards": 3}, 1.0, "its configuration has changed"),
        ({}, "b-1", RECIPE, VALID_SECONDS + 1, "its verification is 24h1s old; it counts for 24h"),
        ({"checks": []}, "b-1", RECIPE, 1.0, "its last verification ended with VOID"),
    ],
)
def test_a_switch_cannot_rest_on_another_verification(
    changes: dict[str, Any], build: str, recipe: dict[str, Any], age_seconds: float, reason: str
) -> None:
    made = verification(Verdict.PASS, **changes)
    assert reason in made.refusal(build, recipe, NOW_MS + round(age_seconds * 1000))


def test_digests_are_compared_at_a_position_both_report() -> None:
    same = documents_check({"green": {4: "aa", 6: "bb"}, "blue": {5: "cc", 6: "bb"}}, "green", "blue")
    assert (same.verdict, "position 6" in same.sentence) == (Verdict.PASS, True)


def test_other_documents_at_one_position_fail() -> None:
    other = documents_check({"green": {6: "bb"}, "blue": {6: "cc"}}, "green", "blue")
    assert other.verdict is Verdict.FAIL
    assert "digest bb in green, cc in blue" in other.sentence


def test_slots_without_a_common_position_are_void() -> None:
    assert documents_check({"green": {6: "bb"}, "blue": {7: "cc"}}, "green", "blue").verdict is Verdict.VOID


@pytest.mark.parametrize(
    ("pairs", "failing"),
    [
        (answers(3, 3), []),
        (answers(0, 4), []),
        (answers(0, 5), ["golden set"]),
        (answers(5, 0, relevance=0.7), ["relevance"]),
        (answers(0, 0, recall=0.94), ["recall"]),
    ],
)
def test_a_slot_fails_by_signs_floor_and_recall(pairs: PairedAnswers, failing: list[str]) -> None:
    checks = golden_checks(pairs, "blue")
    assert [check.name for check in checks if check.verdict is Verdict.FAIL] == failing
