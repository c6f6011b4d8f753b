"""Security group rules of the emulator: described as they were put, and changed in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.wire.fleet import Fleet, unique

Connect = Callable[[str], Any]
LIST = "pl-63a5400a"


@pytest.fixture
def groups(fleet: Fleet, connect: Connect) -> Iterator[tuple[str, str, str]]:
    """A group with rules, and two that they may name."""
    ec2 = connect("ec2")
    made = [
        ec2.create_security_group(GroupName=unique("group"), Description="d", VpcId=fleet.vpc)["GroupId"]
        for _ in range(3)
    ]
    yield made[0], made[1], made[2]
    for group in made:
        ec2.delete_security_group(GroupId=group)


def peers(group: str) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Every sort of peer, as a rule is opened and as it is changed."""
    return {
        "IpRanges": ({"CidrIp": "127.0.0.0/8"}, {"CidrIpv4": "127.0.0.0/8"}),
        "Ipv6Ranges": ({"CidrIpv6": "::/0"}, {"CidrIpv6": "::/0"}),
        "PrefixListIds": ({"PrefixListId": LIST}, {"PrefixListId": LIST}),
        "UserIdGroupPairs": ({"GroupId": group}, {"ReferencedGroupId": group}),
    }


def described(ec2: Any, rule: str) -> dict[str, Any]:
    return dict(ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule])["SecurityGroupRules"][0])


@pytest.mark.parametrize("direction", ["ingress", "egress"])
@pytest.mark.parametrize("peer", ["IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"])
def test_a_description_can_be_read_changed_and_removed(
    connect: Connect, groups: tuple[str, str, str], direction: str, peer: str
) -> None:
    ec2, (own, other, _) = connect("ec2"), groups
    opened, changed = peers(other)[peer]
    ports = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
    authorize = getattr(ec2, f"authorize_security_group_{direction}")
    asked = [{**ports, peer: [opened | {"Description": "first"}]}]
    made = authorize(GroupId=own, IpPermissions=asked)["SecurityGroupRules"][0]
    assert made["Description"] == "first"
    id_ = made["SecurityGroupRuleId"]

    def modify(**more: Any) -> dict[str, Any]:
        rule = {"SecurityGroupRuleId": id_, "SecurityGroupRule": ports | changed | more}
        ec2.modify_security_group_rules(GroupId=own, SecurityGroupRules=[rule])
        return described(ec2, id_)

    assert described(ec2, id_)["Description"] == "first"
    second = modify(Description="second", ToPort=81)
    assert (second["Description"], second["FromPort"], second["ToPort"]) == ("second", 80, 81)
    assert "Description" not in modify(ToPort=81)
    assert modify(Description="third")["Description"] == "third"
    with pytest.raises(ClientError, match=r"InvalidPermission\.Duplicate"):
        authorize(GroupId=own, IpPermissions=[{**ports, peer: [opened | {"Description": "the same again"}]}])
    name = "IpPermissions" if direction == "ingress" else "IpPermissionsEgress"
    shown = ec2.describe_security_groups(GroupIds=[own])["SecurityGroups"][0][name]
    (entry,) = [entry for permission in shown if permission.get("FromPort") == 80 for entry in permission[peer]]
    assert entry["Description"] == "third"
    getattr(ec2, f"revoke_security_group_{direction}")(GroupId=own, IpPermissions=shown)


def test_a_rule_can_change_its_peer_and_protocol(connect: Connect, groups: tuple[str, str, str]) -> None:
    ec2, (own, other, third) = connect("ec2"), groups
    ports = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
    for peer, asked, seen in (
        ({"UserIdGroupPairs": [{"GroupId": other}]}, {"ReferencedGroupId": third}, {"GroupId": third}),
        ({"PrefixListIds": [{"PrefixListId": LIST}]}, {"PrefixListId": "pl-02cd2c6b"}, "pl-02cd2c6b"),
    ):
        made = ec2.authorize_security_group_ingress(GroupId=own, IpPermissions=[{**ports, **peer}])
        id_ = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        rule = {"SecurityGroupRuleId": id_, "SecurityGroupRule": {"IpProtocol": "-1", **asked}}
        ec2.modify_security_group_rules(GroupId=own, SecurityGroupRules=[rule])
        found = described(ec2, id_)
        assert (found["IpProtocol"], found["FromPort"], found["ToPort"]) == ("-1", -1, -1)
        group = found.get("ReferencedGroupInfo", {}).get("GroupId")
        assert seen in ({"GroupId": group}, found.get("PrefixListId"))
        wrong = {"SecurityGroupRuleId": id_, "SecurityGroupRule": {**ports, "CidrIpv4": "127.0.0.0/8"}}
        with pytest.raises(ClientError, match="You may not specify CidrIpv4"):
            ec2.modify_security_group_rules(GroupId=own, SecurityGroupRules=[wrong])


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_missing_rule_is_refused_by_its_id(connect: Connect, groups: tuple[str, str, str], direction: str) -> None:
    revoke = getattr(connect("ec2"), f"revoke_security_group_{direction}")
    with pytest.raises(ClientError, match=r"InvalidSecurityGroupRuleId\.NotFound"):
        revoke(GroupId=groups[0], SecurityGroupRuleIds=["sgr-0123456789abcdef0"])
