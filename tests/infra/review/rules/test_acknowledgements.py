"""Acknowledgements accept by rule, type and name, and go stale."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from infra.review.graph import synthetic
from infra.review.rules import tokens
from infra.review.rules.acknowledgements import ACKNOWLEDGEMENTS, Acknowledgement, acknowledgement, stale
from infra.review.rules.graph import of_recording
from infra.review.rules.registry import RULES
from infra.review.rules.review import found_in
from infra.review.rules.rule import Finding, findings
from tests.infra.graphs import changed

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


def test_what_only_some_configurations_need_is_never_stale() -> None:
    assert stale([replace(ACCEPTED, optional=True)], []) == []


def test_each_is_needed_by_the_configuration_that_it_names() -> None:
    batch = changed(indexing=json.dumps({"mode": "batch"}))
    found = [*found_in("rehearsal"), *findings(of_recording(batch, synthetic), RULES)]
    assert [one for one in ACKNOWLEDGEMENTS if not any(one.covers(finding) for finding in found)] == []


def test_none_accepts_a_group_without_alarm_that_always_runs() -> None:
    silent = [finding.name for finding in found_in("rehearsal") if finding.rule == "group-notifications"]
    assert silent == ["rehearsal-blue-generator"]


def test_each_names_a_rule_a_type_and_a_reason() -> None:
    types = {rule.id: rule.types for rule in RULES}
    for one in ACKNOWLEDGEMENTS:
        assert one.type in types[one.rule]
        assert len(one.reason) > 10
