"""Acknowledgements accept by rule, type and name, and go stale."""

from __future__ import annotations

import pytest

from infra.rules import tokens
from infra.rules.acknowledgements import ACKNOWLEDGEMENTS, Acknowledgement, acknowledgement, stale
from infra.rules.registry import RULES
from infra.rules.rule import Finding

FINDING = Finding("listener-https", tokens.LISTENER, "rehearsal", "urn", "the protocol is HTTP")
ACCEPTED = Acknowledgement("listener-https", tokens.LISTENER, "rehears*", "loopback only")


@pytest.mark.parametrize(
    ("other", "accepts"),
    [
        (ACCEPTED, True),
        (Acknowledgement("listener-tls", tokens.LISTENER, "rehearsal", "r"), False),
        (Acknowledgement("listener-https", tokens.BALANCER, "rehearsal", "r"), False),
        (Acknowledgement("listener-https", tokens.LISTENER, "large", "r"), False),
    ],
)
def test_rule_type_and_name_must_all_fit(other: Acknowledgement, accepts: bool) -> None:
    assert acknowledgement(FINDING, [other]) == (other if accepts else None)


def test_what_accepts_nothing_is_stale() -> None:
    unused = Acknowledgement("listener-tls", tokens.LISTENER, "*", "r")
    assert stale([ACCEPTED, unused], [FINDING]) == [unused]
    assert stale([ACCEPTED], []) == [ACCEPTED]


def test_each_names_a_rule_and_a_type_it_looks_at_and_gives_a_reason() -> None:
    types = {rule.id: rule.types for rule in RULES}
    for one in ACKNOWLEDGEMENTS:
        assert one.type in types[one.rule]
        assert len(one.reason) > 10
