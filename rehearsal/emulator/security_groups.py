"""Security group rules that keep their descriptions and can be changed.

Corrects in moto 5.2.5: the description of a rule that names a group or a prefix list is not returned, a difference in
every later plan, and makes two equal rules different; a change of a rule leaves the group, the prefix list and the
IPv6 range as they were, keeps a description that was taken away, and wants ports where all protocols are meant; rules
that are revoked at once come back or are lost, since each replaces the list that it has read; and the id of a rule that
is not there is refused by another error than AWS's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from moto.ec2.exceptions import (
    InvalidParameterValue,
    InvalidSecurityGroupNotFoundError,
    InvalidSecurityGroupRuleIdNotFoundError,
)
from moto.ec2.models.security_groups import SecurityGroup, SecurityGroupBackend, SecurityGroupRule

ALL_PROTOCOLS = "-1"
_LOCK = threading.RLock()


def _init(plain: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        plain(self, *args, **kwargs)
        # Positions: backend, protocol, group, from, to, range, source group, prefix list.
        prefix_list = kwargs.get("prefix_list_id") or (args[7] if len(args) > 7 else None)
        self.list_description = (prefix_list or {}).get("Description")

    return __init__


def _description(self: Any) -> str | None:
    places = (self.ip_range.get("Description"), self.source_group.get("Description"), self.list_description)
    return next((text for text in places if text), None)


def _opens(rule: Any) -> tuple[Any, ...]:
    """What tells a rule from another; its description does not."""
    kind, peer = _peer(rule)
    ports = (None, None) if rule.ip_protocol == ALL_PROTOCOLS else (rule.from_port, rule.to_port)
    return rule.ip_protocol, *ports, kind, peer


def _peer(rule: Any) -> tuple[str, str | None]:
    """Whom a rule lets in or out, in the words of ModifySecurityGroupRules."""
    if rule.source_group:
        return "ReferencedGroupId", rule.source_group.get("GroupId")
    if rule.prefix_list_id:
        return "PrefixListId", rule.prefix_list_id
    if "CidrIpv6" in rule.ip_range:
        return "CidrIpv6", rule.ip_range["CidrIpv6"]
    return "CidrIpv4", rule.ip_range.get("CidrIp")


def _same(self: Any, other: Any) -> bool:
    return _opens(self) == _opens(other)


def _modify(plain: Callable[..., None]) -> Callable[..., None]:
    def modify_security_group_rules(self: Any, group_id: str, rules: dict[str, dict[str, Any]]) -> None:
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

    return modify_security_group_rules


def _check(backend: Any, id_: str, rule: Any, asked: dict[str, Any]) -> None:
    """Raises InvalidParameterValue for a peer of another sort, InvalidSecurityGroupNotFoundError for a lost group."""
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
    """Take over everything that was asked for; what is not mentioned is gone."""
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


def _flattened(plain: Callable[[Any, list[Any]], list[Any]]) -> Callable[[Any, list[Any]], list[Any]]:
    def flattened_rules(self: Any, rules: list[Any]) -> list[Any]:
        notes = {_opens(rule): rule.list_description for rule in rules if rule.prefix_list_id}
        views = plain(self, rules)
        for view in views:
            for entry in view.prefix_list_ids:
                ports = view.ip_protocol, view.from_port, view.to_port
                text = notes.get((*ports, "PrefixListId", entry["PrefixListId"]))
                entry.update({"Description": text} if text else {})
        return views

    return flattened_rules


def _alone(plain: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(plain)
    def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _LOCK:
            return plain(self, *args, **kwargs)

    return locked


def _revoke(plain: Callable[..., None], side: str) -> Callable[..., None]:
    @wraps(plain)
    def revoke(self: Any, group_name_or_id: str, *args: Any, **kwargs: Any) -> None:
        group = self.get_security_group_by_name_or_id(group_name_or_id, kwargs.get("vpc_id"))
        there = {rule.id for rule in getattr(group, side)} if group is not None else set()
        for id_ in kwargs.get("security_rule_ids") or ():
            if group is not None and id_ not in there:
                raise InvalidSecurityGroupRuleIdNotFoundError(id_)
        plain(self, group_name_or_id, *args, **kwargs)

    return _alone(revoke)


def install() -> None:
    """Put the corrections on moto's classes."""
    SecurityGroupRule.__init__ = _init(SecurityGroupRule.__init__)
    SecurityGroupRule.__eq__ = _same
    SecurityGroupRule.description = property(_description)
    SecurityGroup._flattened_rules = _flattened(SecurityGroup._flattened_rules)
    backend = SecurityGroupBackend
    backend.modify_security_group_rules = _alone(_modify(backend.modify_security_group_rules))
    backend.authorize_security_group_ingress = _alone(backend.authorize_security_group_ingress)
    backend.authorize_security_group_egress = _alone(backend.authorize_security_group_egress)
    backend.revoke_security_group_ingress = _revoke(backend.revoke_security_group_ingress, "ingress_rules")
    backend.revoke_security_group_egress = _revoke(backend.revoke_security_group_egress, "egress_rules")
