"""Scheduled actions of the emulator size a group when their time comes, and are checked when they are put."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.wire.fleet import Fleet, eventually, unique

Connect = Callable[[str], Any]


def test_an_action_sizes_its_group_and_is_gone(fleet: Fleet, connect: Connect) -> None:
    api, name = connect("autoscaling"), unique("once")
    with fleet.group(fleet.template(), 0, MaxSize=1) as group:
        api.put_scheduled_update_group_action(
            AutoScalingGroupName=group,
            ScheduledActionName=name,
            StartTime=datetime.now(UTC) + timedelta(seconds=3),
            MinSize=1,
            MaxSize=3,
            DesiredCapacity=2,
        )

        def described() -> tuple[int, int, int]:
            (found,) = api.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
            return found["MinSize"], found["DesiredCapacity"], found["MaxSize"]

        assert described() == (0, 0, 1)
        eventually(lambda: described() == (1, 2, 3))
        assert len(fleet.instances(group)) == 2
        left = api.describe_scheduled_actions(AutoScalingGroupName=group)["ScheduledUpdateGroupActions"]
        assert left == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"Recurrence": "0 8 * *"}, "has 4 fields"),
        ({"Recurrence": "61 8 * * *"}, "'61' is no minute"),
        ({"Recurrence": "0 8 * * *", "TimeZone": "Europe/Nowhere"}, "time zone 'Europe/Nowhere' is not known"),
        ({"Recurrence": "0 8 * * *", "StartTime": "2020-01-01T08:00:00Z"}, "Given start time is in the past"),
    ],
)
def test_what_would_never_come_is_refused(fleet: Fleet, connect: Connect, asked: dict[str, str], words: str) -> None:
    api = connect("autoscaling")
    with fleet.group(fleet.template(), 0) as group, pytest.raises(ClientError, match=words):
        api.put_scheduled_update_group_action(AutoScalingGroupName=group, ScheduledActionName="never", **asked)


def test_a_recurring_action_says_when_it_comes_next(fleet: Fleet, connect: Connect) -> None:
    api = connect("autoscaling")
    with fleet.group(fleet.template(), 0) as group:
        action = {"AutoScalingGroupName": group, "ScheduledActionName": unique("next"), "MinSize": 0}
        api.put_scheduled_update_group_action(**action, Recurrence="7 8 * * *")
        (found,) = api.describe_scheduled_actions(AutoScalingGroupName=group)["ScheduledUpdateGroupActions"]
        assert (found["StartTime"].hour, found["StartTime"].minute) == (8, 7)
        assert found["StartTime"] > datetime.now(UTC)
        api.delete_scheduled_action(AutoScalingGroupName=group, ScheduledActionName=action["ScheduledActionName"])
