"""Rules for load balancers, listeners and target groups."""

from __future__ import annotations

from collections.abc import Iterator

from infra.review.rules import tokens
from infra.review.rules.graph import Graph, Resource
from infra.review.rules.protection import data_is_protected
from infra.review.rules.rule import Check, Rule, is_on, said, shown

DESYNC_MODES = ("defensive", "strictest")
DEFAULT_DESYNC_MODE = "defensive"  # AWS's default
TLS_POLICIES = ("ELBSecurityPolicy-TLS13-1-2-", "ELBSecurityPolicy-TLS13-1-3-", "ELBSecurityPolicy-TLS-1-2-")
HEALTH_PATH = "/healthz"


def _headers(balancer: Resource, _: Graph) -> Iterator[str]:
    if not is_on(balancer.at("dropInvalidHeaderFields")):
        yield said("invalid headers pass", allowed="dropInvalidHeaderFields true", remedy="Set it")


def _desync(balancer: Resource, _: Graph) -> Iterator[str]:
    found = balancer.at("desyncMitigationMode") or DEFAULT_DESYNC_MODE
    if found not in DESYNC_MODES:
        yield said(
            f"desyncMitigationMode is {shown(found)}",
            allowed=" or ".join(DESYNC_MODES),
            remedy="Set one of them",
        )


def _access_logs(balancer: Resource, _: Graph) -> Iterator[str]:
    if not (is_on(balancer.at("accessLogs", "enabled")) and balancer.at("accessLogs", "bucket")):
        yield said(
            "requests are not logged", allowed="accessLogs with enabled and a bucket", remedy="Name the logs bucket"
        )


def _deletion(balancer: Resource, graph: Graph) -> Iterator[str]:
    if data_is_protected(graph) and not is_on(balancer.at("enableDeletionProtection")):
        yield said(
            "it can be deleted although the stack's data is protected",
            allowed="enableDeletionProtection true",
            remedy="Set it: an address that clients know can't be had again",
        )


def _https(listener: Resource, _: Graph) -> Iterator[str]:
    found = listener.at("protocol")
    if found != "HTTPS":
        yield said(
            f"the protocol is {shown(found)}",
            allowed="HTTPS with a certificate",
            remedy="Give a certificate, or acknowledge where nobody outside can listen",
        )


def _tls(listener: Resource, _: Graph) -> Iterator[str]:
    found = str(listener.at("sslPolicy") or "")
    if listener.at("protocol") == "HTTPS" and not found.startswith(TLS_POLICIES):
        yield said(
            f"sslPolicy is {shown(found)}",
            allowed=f"one that begins with {', '.join(TLS_POLICIES)}",
            remedy="Set one: others still speak TLS 1.0",
        )


def _probe(group: Resource, _: Graph) -> Iterator[str]:
    found, enabled = group.at("healthCheck", "path"), group.at("healthCheck", "enabled")
    if found != HEALTH_PATH or enabled is False:
        yield said(
            f"targets are probed at {shown(found)}" if enabled is not False else "targets are not probed",
            allowed=f"a healthCheck of {HEALTH_PATH}",
            remedy="Probe that: it knows nothing of shards, so that a lost one does not end every router",
        )


def _balancer(id_: str, demand: str, check: Check, *sources: str) -> Rule:
    return Rule(id=id_, demand=demand, types=(tokens.BALANCER,), check=check, sources=sources)


RULES = (
    _balancer("balancer-headers", "invalid headers are dropped", _headers, "CKV_AWS_131"),
    _balancer("balancer-desync", "requests that confuse parsers are refused", _desync, "CKV_AWS_328"),
    _balancer("balancer-access-logs", "requests are logged", _access_logs, "AwsSolutions-ELB2", "CKV_AWS_91"),
    _balancer(
        "balancer-deletion", "a stack with protected data protects its load balancer, too", _deletion, "CKV_AWS_150"
    ),
    Rule(
        id="listener-https",
        demand="listeners use HTTPS",
        types=(tokens.LISTENER,),
        check=_https,
        sources=("CKV_AWS_2",),
    ),
    Rule(
        id="listener-tls",
        demand="listeners refuse TLS below 1.2",
        types=(tokens.LISTENER,),
        check=_tls,
        sources=("CKV_AWS_103",),
    ),
    Rule(
        id="target-group-health",
        demand=f"targets are probed, at `{HEALTH_PATH}`",
        types=(tokens.TARGET_GROUP,),
        check=_probe,
        sources=("CKV_AWS_261",),
    ),
)
