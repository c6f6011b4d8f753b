"""The monthly bill adds up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra import cost
from infra.catalog import BY_NAME, candidates
from infra.plan import make_plan
from tests.infra.workloads import SMALL


def test_the_bill_is_the_sum_of_its_lines() -> None:
    bill = cost.lines(make_plan(SMALL, candidates()))
    assert cost.total(bill) == pytest.approx(sum(line.usd_per_month for line in bill))
    assert all(line.usd_per_month > 0 for line in bill)


def test_cells_cost_their_type_for_every_hour_of_a_month() -> None:
    line = next(line for line in cost.lines(make_plan(SMALL, candidates())) if line.item == "cells")
    assert line.usd_per_month == pytest.approx(2 * BY_NAME["r6i.xlarge"].usd_per_hour * 730)


def test_a_tighter_recovery_time_pays_for_disk_throughput() -> None:
    def disks(seconds: int) -> float:
        plan = make_plan(replace(SMALL, recovery_time_seconds=seconds), candidates())
        return next(line.usd_per_month for line in cost.lines(plan) if line.item == "cell disks")

    assert disks(60) > disks(900)
