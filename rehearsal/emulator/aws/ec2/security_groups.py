"""Security group rules that keep their descriptions, can be changed, and are revoked one at a time."""

from __future__ import annotations

import threading
from typing import Any

from moto.ec2.exceptions import (
    InvalidParameterValue,
    InvalidSecurityGroupNotFoundError,
    InvalidSecurityGroupRuleIdNotFoundError,
)
from moto.ec2.models.security_groups import SecurityGroup, SecurityGroupBackend, SecurityGroupRule

from rehearsal.emulator.corrections import Method, corrects, replaces

ALL_PROTOCOLS = "-1"
LOCK = threading.RLock()


@corrects(SecurityGroupRule, "__init__")
def _init(plain: Method, self: Any, *args: Any, **kwargs: Any) -> None:
    """Store the description of a prefix list, which moto drops."""
    plain(self, *args, **kwargs)
    # Positions: backend, protocol, group, from, to, range, source group, prefix list.
    prefix_list = kwargs.get("prefix_list_id") or (args[7] if len(args) > 7 else None)
    self.list_description = (prefix_list or {}).get("Description")


@replaces(SecurityGroupRule, "description")
def _description(self: Any) -> str | None:
    """Return the description of any rule; moto omits those of groups and prefix lists, a difference in every plan."""
    places = (self.ip_range.get("Description"), self.source_group.get("Description"), self.list_description)
    return next((text for text in places if text), None)


def _opens(rule: Any) -> tuple[Any, ...]:
    """Return what distinguishes a rule from others: all but its description."""
    kind, peer = _peer(rule)
    ports = (None, None) if rule.ip_protocol == ALL_PROTOCOLS else (rule.from_port, rule.to_port)
    return rule.ip_protocol, *ports, kind, peer


def _peer(rule: Any) -> tuple[str, str | None]:
    """Return the peer of a rule, in the words of ModifySecurityGroupRules."""
    if rule.source_group:
        return "ReferencedGroupId", rule.source_group.get("GroupId")
    if rule.prefix_list_id:
        return "PrefixListId", rule.prefix_list_id
    if "CidrIpv6" in rule.ip_range:
        return "CidrIpv6", rule.ip_range["CidrIpv6"]
    return "CidrIpv4", rule.ip_range.get("CidrIp")


@replaces(SecurityGroupRule, "__eq__")
def _equals(self: Any, other: Any) -> bool:
    """Compare rules without their descriptions."""
    return _opens(self) == _opens(other)


@corrects(SecurityGroupBackend, "modify_security_group_rules")
def _modify_security_group_rules(plain: Method, self: Any, group_id: str, rules: dict[str, dict[str, Any]]) -> None:
    """
    Change group, prefix list, IPv6 range and description of a rule.

    moto leaves them as they were, and wants ports where all protocols are meant.
    """
    everything = {"FromPort": -1, "ToPort": -1}
    padded = {
        id_: (everything if rule.get("IpProtocol") == ALL_PROTOCOLS else {}) | rule for id_, rule in rules.items()
    }
    group = self.get_security_group_by_name_or_id(group_id)
    for id_, asked in rules.items():
        if group is not None and (rule := group.get_rule(id_)) is not None:
            _check(self, id_, rule, asked)
    plain(self, group_id, padded)
    for id_, asked in rules.items():
        _become(group.get_rule(id_), asked)


def _check(backend: Any, id_: str, rule: Any, asked: dict[str, Any]) -> None:
    """Raise InvalidParameterValue for another kind of peer, InvalidSecurityGroupNotFoundError for a missing group."""
    kind = _peer(rule)[0]
    others = {"CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId"} - {kind}
    wrong = sorted(others & set(asked))
    if wrong and kind not in asked:
        raise InvalidParameterValue(
            f"Invalid rule type for security group rule '{id_}'. You may not specify {wrong[0]} for an existing "
            f"{kind} rule."
        )
    named = asked.get("ReferencedGroupId")
    if named and backend.get_security_group_by_name_or_id(named) is None:
        raise InvalidSecurityGroupNotFoundError(named)


def _become(rule: Any, asked: dict[str, Any]) -> None:
    """Take over every parameter of the request; what it does not mention is removed."""
    note = {"Description": asked["Description"]} if asked.get("Description") else {}
    if asked["IpProtocol"] == ALL_PROTOCOLS:
        rule.from_port = rule.to_port = None
    kind = _peer(rule)[0]
    rule.list_description = note.get("Description") if kind == "PrefixListId" else None
    if kind == "ReferencedGroupId":
        owner = {key: value for key, value in rule.source_group.items() if key in ("OwnerId", "UserId")}
        rule.source_group = owner | {"GroupId": asked[kind]} | note
        rule.ip_range = {}
    elif kind == "PrefixListId":
        rule.prefix_list_id, rule.ip_range = asked[kind], {}
    else:
        rule.ip_range = {"CidrIpv6" if kind == "CidrIpv6" else "CidrIp": asked[kind]} | note


@corrects(SecurityGroup, "_flattened_rules")
def _flattened_rules(plain: Method, self: Any, rules: list[Any]) -> list[Any]:
    """Return the descriptions of prefix lists with the rules."""
    notes = {_opens(rule): rule.list_description for rule in rules if rule.prefix_list_id}
    views = plain(self, rules)
    for view in views:
        for entry in view.prefix_list_ids:
            ports = view.ip_protocol, view.from_port, view.to_port
            text = notes.get((*ports, "PrefixListId", entry["PrefixListId"]))
            entry.update({"Description": text} if text else {})
    return list(views)


@corrects(SecurityGroupBackend, "revoke_security_group_ingress", "revoke_security_group_egress")
def _revoke(plain: Method, self: Any, group_name_or_id: str, *args: Any, **kwargs: Any) -> None:
    """Refuse the id of a missing rule by AWS's error; moto raises another one."""
    group = self.get_security_group_by_name_or_id(group_name_or_id, kwargs.get("vpc_id"))
    if group is not None:
        rules = group.ingress_rules if plain.__name__.endswith("ingress") else group.egress_rules
        known = {rule.id for rule in rules}
        for id_ in kwargs.get("security_rule_ids") or ():
            if id_ not in known:
                raise InvalidSecurityGroupRuleIdNotFoundError(id_)
    plain(self, group_name_or_id, *args, **kwargs)


@corrects(
    SecurityGroupBackend,
    "modify_security_group_rules",
    "authorize_security_group_ingress",
    "authorize_security_group_egress",
    "revoke_security_group_ingress",
    "revoke_security_group_egress",
)
def _one_at_a_time(plain: Method, self: Any, *args: Any, **kwargs: Any) -> Any:
    """Change rules one request at a time; in moto each request replaces the list that it read, and rules are lost."""
    with LOCK:
        return plain(self, *args, **kwargs)
