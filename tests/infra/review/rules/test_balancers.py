"""The rules of infra.review.rules.balancers, each with what complies and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.review.rules import tokens
from infra.review.rules.graph import Resource
from tests.infra.review.rules.cases import Case, fine, made, wrong

KEPT = made(tokens.BUCKET, {"forceDestroy": False})
EMPTIED = made(tokens.BUCKET, {"forceDestroy": True})


def balancer(**inputs: Any) -> Resource:
    return made(tokens.BALANCER, inputs)


def listener(**inputs: Any) -> Resource:
    return made(tokens.LISTENER, inputs)


def probed(**health_check: Any) -> Resource:
    return made(tokens.TARGET_GROUP, {"healthCheck": health_check})


CASES = (
    fine("balancer-headers", "dropped", balancer(dropInvalidHeaderFields=True)),
    wrong("balancer-headers", "passed", balancer(), says="invalid headers pass"),
    fine("balancer-desync", "strictest", balancer(desyncMitigationMode="strictest")),
    fine("balancer-desync", "AWS's default", balancer()),
    wrong("balancer-desync", "monitored", balancer(desyncMitigationMode="monitor"), says="is monitor"),
    fine("balancer-access-logs", "on", balancer(accessLogs={"enabled": True, "bucket": "logs"})),
    wrong("balancer-access-logs", "off", balancer(accessLogs={"enabled": False, "bucket": "logs"}), says="not logged"),
    fine("balancer-deletion", "protected", KEPT, balancer(enableDeletionProtection=True)),
    fine("balancer-deletion", "a rehearsal's", EMPTIED, balancer()),
    wrong("balancer-deletion", "not protected", KEPT, balancer(), says="can be deleted"),
    fine("listener-https", "HTTPS", listener(protocol="HTTPS")),
    wrong("listener-https", "HTTP", listener(protocol="HTTP"), says="the protocol is HTTP;"),
    fine("listener-tls", "1.2", listener(protocol="HTTPS", sslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06")),
    fine("listener-tls", "no TLS at all", listener(protocol="HTTP")),
    wrong("listener-tls", "1.0", listener(protocol="HTTPS", sslPolicy="ELBSecurityPolicy-2016-08"), says="2016-08"),
    wrong("listener-tls", "AWS's default", listener(protocol="HTTPS"), says="sslPolicy is nothing"),
    fine("target-group-health", "shallow", probed(path="/healthz")),
    wrong("target-group-health", "deep", probed(path="/readyz"), says="probed at /readyz"),
    wrong("target-group-health", "off", probed(path="/healthz", enabled=False), says="are not probed"),
    wrong("target-group-health", "none", made(tokens.TARGET_GROUP), says="probed at nothing"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_balancer_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()
