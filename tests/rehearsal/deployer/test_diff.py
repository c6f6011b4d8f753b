"""Decisions about a change: none, an update in place, a replacement, or a refusal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.deployer.diff import as_recorded, decide, deletes_first, ignoring, with_defaults
from rehearsal.deployer.errors import UnsupportedError
from rehearsal.deployer.kind import Kind
from rehearsal.deployer.resources import KINDS
from rehearsal.deployer.state import Properties, Resource

GROUP = KINDS["aws:lb/targetGroup:TargetGroup"]
INPUTS = {"name": "g-1", "port": 80, "healthCheck": {"path": "/healthz"}}


def old(inputs: Properties, kind: Kind = GROUP, *, named: bool = True) -> Resource:
    kept = as_recorded(kind, with_defaults(kind, inputs, {}))
    return Resource(urn="u", type=kind.token, name="n", id="i", inputs=kept, named_by_deployer=named)


def decision(change: Properties, kind: Kind = GROUP, before: Properties = INPUTS, **options: Any) -> str:
    return decide(kind, old(before, kind), with_defaults(kind, before | change, {}), **options).action


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


def test_a_change_of_an_unknown_property_is_an_error() -> None:
    with pytest.raises(UnsupportedError, match="property stickiness changed"):
        decision({"stickiness": {"type": "lb_cookie"}})


def test_the_program_may_force_a_replacement() -> None:
    change = {"healthCheck": {"path": "/other"}}
    assert decision(change, replace_on_changes=["healthCheck.path"]) == "replace"
    assert decision(change, replace_on_changes=["*"]) == "replace"
    assert decision(change, replace_on_changes=["port"]) == "update"
    assert decision({}, replace_on_changes=["*"]) == "same"


def test_default_tags_are_among_all_tags_of_a_resource() -> None:
    kind = KINDS["aws:ec2/securityGroup:SecurityGroup"]
    before = old({"name": "g", "tags": {"own": "1"}}, kind)
    after = with_defaults(kind, {"name": "g", "tags": {"own": "1"}}, {"fleet": "x"})
    assert after["tagsAll"] == {"fleet": "x", "own": "1"}
    assert decide(kind, before, after).action == "update"


def test_the_state_has_a_digest_of_long_contents() -> None:
    kind, inputs = KINDS["aws:s3/bucketObjectv2:BucketObjectv2"], {"bucket": "b", "key": "k", "content": "x" * 9999}
    assert "x" not in str(as_recorded(kind, inputs)["content"]["sha256"])
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
def test_json_texts_are_compared_by_value(text: str, action: str) -> None:
    before = {"dashboardName": "d", "dashboardBody": '{"a": 1, "b": [1, 2]}'}
    assert decision({"dashboardBody": text}, KINDS["aws:cloudwatch/dashboard:Dashboard"], before) == action


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
def test_ignored_paths_keep_their_old_values(path: str, expected: Properties) -> None:
    before, after = {"a": 1, "b": {"c": [{"d": 3}, {"d": 4}]}}, {"a": 9, "b": {"c": [{"d": 7}, {"d": 8}]}}
    assert ignoring(before, after, [path]) == expected
    assert after == {"a": 9, "b": {"c": [{"d": 7}, {"d": 8}]}}


def test_an_ignored_new_property_is_left_out() -> None:
    assert ignoring({}, {"a": 1}, ["a"]) == {}


values = st.one_of(st.integers(), st.booleans(), st.text(max_size=3), st.lists(st.text(max_size=2), max_size=3))


@given(kind=st.sampled_from(sorted(KINDS.values(), key=lambda k: k.token)), data=st.data())
def test_each_change_of_a_known_property_has_an_action(kind: Kind, data: st.DataObject) -> None:
    known = sorted(kind.replaced_by | kind.updated_by)
    before = data.draw(st.dictionaries(st.sampled_from(known), values, max_size=4))
    after = data.draw(st.dictionaries(st.sampled_from(known), values, max_size=4))
    taken = decide(kind, old(before, kind), with_defaults(kind, after, {}))
    assert decide(kind, old(before, kind), with_defaults(kind, before, {})).action == "same"
    assert (taken.action == "same") == (not taken.changed)
    assert (taken.action == "replace") == bool(taken.changed & kind.replaced_by)
