"""Scheduled actions of the emulator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.wire.fleet import Fleet, eventually, unique

Connect = Callable[[str], Any]


def test_an_action_resizes_its_group_and_is_deleted(fleet: Fleet, connect: Connect) -> None:
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
        ({"Recurrence": "61 8 * * *"}, "'61' is not a valid minute"),
        ({"Recurrence": "0 8 * * *", "TimeZone": "Europe/Nowhere"}, "time zone 'Europe/Nowhere' is unknown"),
        ({"Recurrence": "0 8 * * *", "StartTime": "2020-01-01T08:00:00Z"}, "Given start time is in the past"),
    ],
)
def test_an_action_never_due_is_refused(fleet: Fleet, connect: Connect, asked: dict[str, str], words: str) -> None:
    api = connect("autoscaling")
    with fleet.group(fleet.template(), 0) as group, pytest.raises(ClientError, match=words):
        api.put_scheduled_update_group_action(AutoScalingGroupName=group, ScheduledActionName="never", **asked)


def test_a_recurring_action_shows_its_next_time(fleet: Fleet, connect: Connect) -> None:
    api = connect("autoscaling")
    with fleet.group(fleet.template(), 0) as group:
        action = {"AutoScalingGroupName": group, "ScheduledActionName": unique("next"), "MinSize": 0}
        api.put_scheduled_update_group_action(**action, Recurrence="7 8 * * *")
        (found,) = api.describe_scheduled_actions(AutoScalingGroupName=group)["ScheduledUpdateGroupActions"]
        assert (found["StartTime"].hour, found["StartTime"].minute) == (8, 7)
        assert found["StartTime"] > datetime.now(UTC)
        api.delete_scheduled_action(AutoScalingGroupName=group, ScheduledActionName=action["ScheduledActionName"])


def test_two_groups_have_actions_of_one_name(fleet: Fleet, connect: Connect) -> None:
    api, name = connect("autoscaling"), unique("same")

    def sizes(group: str) -> list[int]:
        found = api.describe_scheduled_actions(AutoScalingGroupName=group)["ScheduledUpdateGroupActions"]
        return [one["DesiredCapacity"] for one in found]

    with fleet.group(fleet.template(), 0) as kept:
        with fleet.group(fleet.template(), 0) as deleted:
            for group, size in ((kept, 1), (deleted, 2)):
                asked = {"AutoScalingGroupName": group, "ScheduledActionName": name, "Recurrence": "7 8 * * *"}
                api.put_scheduled_update_group_action(**asked, DesiredCapacity=size)
            assert (sizes(kept), sizes(deleted)) == ([1], [2])
        eventually(lambda: sizes(deleted) == [])
        assert sizes(kept) == [1]
        api.delete_scheduled_action(AutoScalingGroupName=kept, ScheduledActionName=name)
        assert sizes(kept) == []
        with pytest.raises(ClientError, match="Scheduled action name not found"):
            api.delete_scheduled_action(AutoScalingGroupName=kept, ScheduledActionName=name)
