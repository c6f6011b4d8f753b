"""The policy pack runs the same rules, on what the engine knows; the SDK's package is played by a stand-in."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from infra import PROJECT_ROOT
from infra.review.graph import graph, synthetic
from infra.review.rules import acknowledgements, tokens
from infra.review.rules.acknowledgements import Acknowledgement
from infra.review.rules.crossguard import violations
from infra.review.rules.graph import Resource, of_recording
from infra.review.rules.registry import RULES
from infra.review.rules.rule import findings
from tests.infra.review.rules.cases import BY_ID, made

PACK = PROJECT_ROOT / "policypack"


class NotKnownYet(Exception):
    """The error of reading an unknown value."""


class Props(Mapping[str, Any]):
    """Properties as the engine hands them over: the keys are there, an unknown value raises."""

    def __init__(self, given: Mapping[str, Any], unknown: tuple[str, ...] = ()) -> None:
        self._given, self._unknown = given, unknown

    def __getitem__(self, key: str) -> Any:
        if key in self._unknown:
            raise NotKnownYet(key)
        return self._given[key]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._given, **dict.fromkeys(self._unknown)})

    def __len__(self) -> int:
        return len(list(iter(self)))


@dataclass
class Known:
    """A resource as the engine knows it."""

    resource_type: str
    name: str
    urn: str
    props: Mapping[str, Any]
    opts: Any
    property_dependencies: dict[str, list[Known]] = field(default_factory=dict)


def known(*resources: Resource, unknown: tuple[str, ...] = ()) -> list[Known]:
    """The engine's view of these resources."""
    found = {
        one.urn: Known(
            one.type,
            one.name,
            one.urn,
            Props({**one.outputs, **one.inputs}, unknown),
            SimpleNamespace(protect=one.protect),
        )
        for one in resources
    }
    for one in resources:
        named = {key: [found[urn] for urn in urns] for key, urns in one.references.items()}
        found[one.urn].property_dependencies = named
    return list(found.values())


@cache
def rehearsal() -> tuple[Resource, ...]:
    return of_recording(graph("rehearsal"), synthetic).resources


def sentences(rule: str, resources: list[Known], *accepted: Acknowledgement) -> list[str]:
    return [one.sentence for one in violations(BY_ID[rule], resources, accepted, NotKnownYet)]


def test_the_engines_view_gives_the_same_findings() -> None:
    seen = [one for rule in RULES for one in violations(rule, known(*rehearsal()), (), NotKnownYet)]
    of_graph = list(findings(of_recording(graph("rehearsal"), synthetic), RULES))
    assert seen == of_graph


def test_a_reference_comes_from_the_engine_where_ids_are_unknown() -> None:
    bucket = made(tokens.BUCKET)
    versioning = made(tokens.BUCKET_VERSIONING, {"versioningConfiguration": {"status": "Enabled"}}, bucket=bucket)
    assert sentences("bucket-versioning", known(bucket, versioning, unknown=("bucket", "id"))) == []


def test_a_rule_says_nothing_about_what_it_can_not_know_yet() -> None:
    template = made(tokens.TEMPLATE, {"metadataOptions": {"httpTokens": "optional"}})
    assert len(sentences("instance-imdsv2", known(template))) == 1
    assert sentences("instance-imdsv2", known(template, unknown=("metadataOptions",))) == []


def test_protect_is_judged_and_retention_is_not() -> None:
    (said,) = sentences("bucket-protected", known(made(tokens.BUCKET, {"forceDestroy": False})))
    assert "lacks protect;" in said
    assert sentences("bucket-protected", known(made(tokens.BUCKET, {"forceDestroy": False}, protect=True))) == []


def test_mirrored_outputs_are_not_inputs() -> None:
    group = made(tokens.SECURITY_GROUP, {"ingress": [{"cidrBlocks": ["10.0.0.0/8"]}], "description": "Nodes"})
    assert sentences("security-group-rules-apart", known(group)) == []
    assert sentences("security-group-described", known(group)) == []


def test_an_acknowledged_finding_is_no_violation() -> None:
    listener = known(made(tokens.LISTENER, {"protocol": "HTTP"}))
    accepted = Acknowledgement("listener-https", tokens.LISTENER, "one", "r")
    assert len(sentences("listener-https", listener)) == 1
    assert sentences("listener-https", listener, accepted) == []


# --- the pack


class EnforcementLevel(Enum):
    MANDATORY = "mandatory"


class Pack(SimpleNamespace):
    """Stands for PolicyPack and StackValidationPolicy: both take what they are by keyword."""


Validate = Callable[[SimpleNamespace, Callable[[str, str], None]], None]


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch) -> Pack:
    """The pack that policypack/__main__.py makes."""
    packs: list[Pack] = []
    sdk, proxy = ModuleType("pulumi_policy"), ModuleType("pulumi_policy.proxy")
    vars(proxy)["UnknownValueError"] = NotKnownYet
    vars(sdk).update(
        EnforcementLevel=EnforcementLevel,
        PolicyPack=lambda **given: packs.append(Pack(**given)),
        ReportViolation=object,
        StackValidationArgs=object,
        StackValidationPolicy=Pack,
    )
    monkeypatch.setitem(sys.modules, "pulumi_policy", sdk)
    monkeypatch.setitem(sys.modules, "pulumi_policy.proxy", proxy)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(acknowledgements, "ACKNOWLEDGEMENTS", ())
    runpy.run_path(str(PACK), run_name="__main__")
    (made_pack,) = packs
    return made_pack


def test_the_pack_has_every_rule_and_stops_an_update(pack: Pack) -> None:
    assert (pack.name, pack.enforcement_level) == ("vectorfleet", EnforcementLevel.MANDATORY)
    assert [(one.name, one.description) for one in pack.policies] == [(rule.id, rule.demand) for rule in RULES]


def test_each_policy_of_the_pack_reports_its_rules_findings(pack: Pack) -> None:
    reported: list[tuple[str, str]] = []
    args = SimpleNamespace(resources=known(*rehearsal()))
    for policy in pack.policies:
        validate: Validate = policy.validate
        validate(args, lambda said, urn: reported.append((said, urn)))
    found = findings(of_recording(graph("rehearsal"), synthetic), RULES)
    assert reported == [(one.sentence, one.urn) for one in found]


def test_the_packs_manifest_names_its_own_environment() -> None:
    manifest = yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text())
    assert manifest["runtime"] == {"name": "python", "options": {"virtualenv": "venv"}}
    assert (PACK / "requirements.txt").read_text().startswith("pulumi-policy>=")
