"""`python -m rehearsal.emulator.compute`: every emulated EC2 instance as a process group.

It polls EC2 about three times a second, boots running instances from their user data, and ends stopped and terminated
ones. A terminated instance loses its disk. `compute.json` in the state folder lists all instances.
"""

from __future__ import annotations

import json
import logging
import signal
import time
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.emulator import processes
from rehearsal.emulator.account import client
from rehearsal.emulator.compute.machine import Facts, Machine, Site
from rehearsal.emulator.compute.userdata import Manifest, NotUnderstoodError, decode, parse
from vectorfleet.number_types import Number
from vectorfleet.waiting import until

POLL_SECONDS = 0.33
STEP_SECONDS = 0.05
_log = logging.getLogger("rehearsal.emulator.compute")


class Compute:
    """All machines of a state folder, in the states that EC2 has for them."""

    def __init__(self, site: Site, ec2: Any, store: Any, *, grace_seconds: float) -> None:
        self.site = site
        self.ec2 = ec2
        self.store = store
        self.grace_seconds = grace_seconds
        self.machines: dict[str, Machine] = {}
        self._written: str | None = None

    def sweep(self) -> None:
        """End the processes that an earlier run left."""
        for process in processes.living(self.site.root / "pids"):
            _log.warning("ending left-over process %d (%s)", process.pid, process.name)
            processes.kill_session(process)
        for path in (self.site.root / "pids").glob("*.pid"):
            path.unlink()

    def _describe(self) -> dict[str, dict[str, Any]]:
        pages = self.ec2.get_paginator("describe_instances").paginate()
        return {i["InstanceId"]: i for page in pages for r in page["Reservations"] for i in r["Instances"]}

    def _manifest(self, instance: str) -> Manifest | None:
        answer = self.ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
        try:
            return parse(decode(answer.get("UserData", {}).get("Value")))
        except NotUnderstoodError as problem:
            _log.error("instance %s cannot boot: %s", instance, problem)
            return None

    def _boot(self, instance: dict[str, Any]) -> None:
        name = instance["InstanceId"]
        facts = Facts(name, instance["PrivateIpAddress"], instance["Placement"]["AvailabilityZone"])
        machine = Machine(self.site, facts, self._manifest(name))
        self.machines[name] = machine
        if machine.manifest is None:
            machine.state = "failed"
            machine.say("the user data is not valid; the instance stays without a process")
            return
        _log.info("booting %s as %s on %s", name, machine.manifest.label, facts.address)
        machine.start(self.store)

    def poll(self) -> None:
        """Boot, stop and forget machines until they agree with EC2."""
        instances = self._describe()
        for name, instance in instances.items():
            machine = self.machines.get(name)
            if instance["State"]["Name"] not in ("pending", "running"):
                if machine:
                    machine.stop(self.grace_seconds)
            elif machine is None:
                self._boot(instance)
            elif machine.state == "stopped":
                machine.starts.clear()
                machine.start(self.store)
        for name, machine in list(self.machines.items()):
            gone = name not in instances or instances[name]["State"]["Name"] == "terminated"
            if gone:
                self._forget(machine)

    def _forget(self, machine: Machine) -> None:
        machine.stop(self.grace_seconds)
        if machine.state == "stopped":
            _log.info("instance %s is terminated, and its disk deleted", machine.facts.instance)
            machine.erase()
            del self.machines[machine.facts.instance]

    def step(self) -> None:
        """Step every machine, and power off those that reached their start limit."""
        for machine in self.machines.values():
            machine.step(self.store)
            if machine.state == "exhausted":
                _log.error("instance %s reached its start limit and powers off", machine.facts.instance)
                self.ec2.stop_instances(InstanceIds=[machine.facts.instance])
                machine.stop(0.0)

    def write_table(self) -> None:
        """Write compute.json if something changed; readers never see half a file."""
        rows = [machine.row() for _, machine in sorted(self.machines.items())]
        text = json.dumps({"instances": rows}, indent=1)
        if text != self._written:
            draft = self.site.root / "compute.json.tmp"
            draft.write_text(text)
            draft.replace(self.site.root / "compute.json")
            self._written = text

    def close(self) -> None:
        """End every process by SIGTERM and, after the grace, SIGKILL. Disks stay."""
        for machine in self.machines.values():
            machine.stop(self.grace_seconds)
        until(self._stopped, self.grace_seconds + 5, STEP_SECONDS)
        self.write_table()

    def _stopped(self) -> bool:
        for machine in self.machines.values():
            machine.step(self.store)
        return all(machine.state != "stopping" for machine in self.machines.values())


def _round(compute: Compute, *, with_poll: bool) -> None:
    try:
        if with_poll:
            compute.poll()
        compute.step()
    except (BotoCoreError, ClientError) as problem:
        _log.warning("the AWS API failed (%s); trying again", problem)
    compute.write_table()


def run(compute: Compute) -> None:
    """Poll and step until SIGTERM or SIGINT, then end every process."""
    ends: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: ends.append(got))
    compute.sweep()
    next_poll = 0.0
    while not ends:
        due = time.monotonic() >= next_poll
        if due:
            next_poll = time.monotonic() + POLL_SECONDS
        _round(compute, with_poll=due)
        time.sleep(STEP_SECONDS)
    compute.close()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--endpoint", default="http://127.0.0.1:4566", show_default=True, help="The emulated AWS.")
@click.option("--root", default=".rehearsal", show_default=True, type=click.Path(path_type=Path), help="State folder.")
@click.option(
    "--grace-seconds",
    default=2.0,
    show_default=True,
    type=Number(0, 3_600),
    help="From SIGTERM to SIGKILL.",
)
def main(endpoint: str, root: Path, grace_seconds: float) -> None:
    """Run every emulated EC2 instance until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    root.mkdir(parents=True, exist_ok=True)
    site = Site(root.resolve(), endpoint)
    ec2, store = (client(service, endpoint, read_seconds=20, attempts=3) for service in ("ec2", "s3"))
    run(Compute(site, ec2, store, grace_seconds=grace_seconds))
