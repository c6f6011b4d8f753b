"""The rules of infra/review/rules as a CrossGuard pack: `pulumi preview --policy-pack policypack`."""

from __future__ import annotations

import sys
from pathlib import Path

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from infra.review.rules.acknowledgements import ACKNOWLEDGEMENTS
from infra.review.rules.crossguard import violations
from infra.review.rules.registry import RULES
from infra.review.rules.rule import Rule


def policy(rule: Rule) -> StackValidationPolicy:
    """A rule sees the whole stack: most of them ask what belongs to a resource."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for finding in violations(rule, args.resources, ACKNOWLEDGEMENTS, UnknownValueError):
            report(finding.sentence, finding.urn)

    return StackValidationPolicy(name=rule.id, description=rule.demand, validate=validate)


PolicyPack(
    name="vectorfleet",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[policy(rule) for rule in RULES],
)
