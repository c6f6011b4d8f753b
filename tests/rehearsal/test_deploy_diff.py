"""What a change means: nothing, in place, replacement, or not known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.deploy.dashboards import Dashboard
from rehearsal.deploy.diff import decide, deletes_first, ignoring, remembered, settled
from rehearsal.deploy.elb import TargetGroup
from rehearsal.deploy.errors import UnsupportedError
from rehearsal.deploy.kind import Kind
from rehearsal.deploy.s3objects import BucketObject
from rehearsal.deploy.securitygroup import SecurityGroup
from rehearsal.deploy.state import Properties, Resource
from rehearsal.deploy.table import KINDS

GROUP = TargetGroup()
INPUTS = {"name": "g-1", "port": 80, "healthCheck": {"path": "/healthz"}}


def old(inputs: Properties, kind: Kind = GROUP, *, named: bool = True) -> Resource:
    kept = remembered(kind, settled(kind, inputs, {}))
    return Resource(urn="u", type=kind.token, name="n", id="i", inputs=kept, named_by_deployer=named)


def decision(change: Properties, kind: Kind = GROUP, before: Properties = INPUTS, **options: Any) -> str:
    return decide(kind, old(before, kind), settled(kind, before | change, {}), **options).action


@pytest.mark.parametrize(
    ("change", "action"),
    [
        ({}, "same"),
        ({"slowStart": 0}, "same"),
        ({"tags": {}}, "same"),
        ({"healthCheck": {"path": "/other"}}, "update"),
        ({"tags": {"a": "b"}}, "update"),
        ({"deregistrationDelay": 5}, "update"),
        ({"port": 81}, "replace"),
        ({"port": 81, "tags": {"a": "b"}}, "replace"),
    ],
)
def test_the_table_decides(change: Properties, action: str) -> None:
    assert decision(change) == action


def test_a_change_that_the_table_does_not_know_is_an_error() -> None:
    with pytest.raises(UnsupportedError, match="property stickiness changed"):
        decision({"stickiness": {"type": "lb_cookie"}})


def test_the_program_may_force_a_replacement() -> None:
    change = {"healthCheck": {"path": "/other"}}
    assert decision(change, replace_on_changes=["healthCheck.path"]) == "replace"
    assert decision(change, replace_on_changes=["*"]) == "replace"
    assert decision(change, replace_on_changes=["port"]) == "update"
    assert decision({}, replace_on_changes=["*"]) == "same"


def test_default_tags_are_part_of_what_a_resource_carries() -> None:
    before = old({"name": "g", "tags": {"own": "1"}}, SecurityGroup())
    after = settled(SecurityGroup(), {"name": "g", "tags": {"own": "1"}}, {"fleet": "x"})
    assert after["tagsAll"] == {"fleet": "x", "own": "1"}
    assert decide(SecurityGroup(), before, after).action == "update"


def test_long_contents_are_remembered_as_a_digest() -> None:
    kind, inputs = BucketObject(), {"bucket": "b", "key": "k", "content": "x" * 9999}
    assert "x" not in str(remembered(kind, inputs)["content"]["sha256"])
    assert decision({}, kind, inputs) == "same"
    assert decision({"content": "y"}, kind, inputs) == "update"


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ('{"a": 1, "b": [1, 2]}', "same"),
        ('{ "b":[1,2],\n"a":1 }', "same"),
        ('{"a": 1, "b": [2, 1]}', "update"),
        ("{", "update"),
        ("", "update"),
    ],
)
def test_json_is_compared_by_what_it_says(text: str, action: str) -> None:
    before = {"dashboardName": "d", "dashboardBody": '{"a": 1, "b": [1, 2]}'}
    assert decision({"dashboardBody": text}, Dashboard(), before) == action


@pytest.mark.parametrize(
    ("named_by_deployer", "new_name", "asked", "first"),
    [
        (True, "g-2", None, False),
        (False, "g-1", None, True),
        (False, "g-2", None, False),
        (False, "g-1", False, False),
        (True, "g-2", True, True),
    ],
)
def test_a_kept_name_or_a_request_deletes_first(
    named_by_deployer: bool, new_name: str, asked: bool | None, first: bool
) -> None:
    before = old(INPUTS, named=named_by_deployer)
    assert deletes_first(GROUP, before, INPUTS | {"name": new_name}, asked) is first


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", {"a": 1, "b": {"c": [{"d": 7}, {"d": 8}]}}),
        ("b.c", {"a": 9, "b": {"c": [{"d": 3}, {"d": 4}]}}),
        ("b.c[0].d", {"a": 9, "b": {"c": [{"d": 3}, {"d": 8}]}}),
        ("b.c[*].d", {"a": 9, "b": {"c": [{"d": 3}, {"d": 4}]}}),
        ('b["c"]', {"a": 9, "b": {"c": [{"d": 3}, {"d": 4}]}}),
        ("missing", {"a": 9, "b": {"c": [{"d": 7}, {"d": 8}]}}),
    ],
)
def test_ignored_paths_keep_what_was_there(path: str, expected: Properties) -> None:
    before, after = {"a": 1, "b": {"c": [{"d": 3}, {"d": 4}]}}, {"a": 9, "b": {"c": [{"d": 7}, {"d": 8}]}}
    assert ignoring(before, after, [path]) == expected
    assert after == {"a": 9, "b": {"c": [{"d": 7}, {"d": 8}]}}


def test_an_ignored_property_that_was_not_there_stays_away() -> None:
    assert ignoring({}, {"a": 1}, ["a"]) == {}


values = st.one_of(st.integers(), st.booleans(), st.text(max_size=3), st.lists(st.text(max_size=2), max_size=3))


@given(kind=st.sampled_from(sorted(KINDS.values(), key=lambda k: k.token)), data=st.data())
def test_every_known_change_has_a_meaning_and_no_change_has_none(kind: Kind, data: st.DataObject) -> None:
    known = sorted(kind.replaced_by | kind.updated_by)
    before = data.draw(st.dictionaries(st.sampled_from(known), values, max_size=4))
    after = data.draw(st.dictionaries(st.sampled_from(known), values, max_size=4))
    taken = decide(kind, old(before, kind), settled(kind, after, {}))
    assert decide(kind, old(before, kind), settled(kind, before, {})).action == "same"
    assert (taken.action == "same") == (not taken.changed)
    assert (taken.action == "replace") == bool(taken.changed & kind.replaced_by)
