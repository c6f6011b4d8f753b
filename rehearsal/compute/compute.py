"""`python -m rehearsal.compute`: every emulated EC2 instance as a process group.

Polls EC2 about three times a second. An instance that runs is booted from its user data; one that is stopped
or terminated is ended, and a terminated one loses its disk. `compute.json` in the state folder shows it all.
"""

from __future__ import annotations

import json
import logging
import signal
import time
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.numbers import Number
from rehearsal import processes
from rehearsal.compute.machine import Facts, Machine, Site
from rehearsal.compute.userdata import Manifest, NotUnderstoodError, decode, parse

POLL_SECONDS = 0.33
STEP_SECONDS = 0.05
_log = logging.getLogger("rehearsal.compute")


class Compute:
    """All machines of one state folder, kept equal to what EC2 says."""

    def __init__(self, site: Site, ec2: Any, store: Any, *, grace_seconds: float) -> None:
        self.site = site
        self.ec2 = ec2
        self.store = store
        self.grace_seconds = grace_seconds
        self.machines: dict[str, Machine] = {}
        self._written: str | None = None

    def sweep(self) -> None:
        """End what an earlier run left behind."""
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
            _log.error("instance %s can't be booted: %s", instance, problem)
            return None

    def _boot(self, instance: dict[str, Any]) -> None:
        name = instance["InstanceId"]
        facts = Facts(name, instance["PrivateIpAddress"], instance["Placement"]["AvailabilityZone"])
        machine = Machine(self.site, facts, self._manifest(name))
        self.machines[name] = machine
        if machine.manifest is None:
            machine.state = "failed"
            machine.say("the user data is not understood; the instance stays without a process")
            return
        _log.info("booting %s as %s on %s", name, machine.manifest.label, facts.address)
        machine.start(self.store)

    def poll(self) -> None:
        """Compare EC2 with the machines: boot, stop, forget."""
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
            _log.info("instance %s is gone, its disk with it", machine.facts.instance)
            machine.erase()
            del self.machines[machine.facts.instance]

    def step(self) -> None:
        """Let every machine notice exits; power off those that reached their start limit."""
        for machine in self.machines.values():
            machine.step(self.store)
            if machine.state == "exhausted":
                _log.error("instance %s reached its start limit and powers off", machine.facts.instance)
                self.ec2.stop_instances(InstanceIds=[machine.facts.instance])
                machine.stop(0.0)

    def write_table(self) -> None:
        """Write compute.json when something changed; readers never see half a file."""
        rows = [machine.row() for _, machine in sorted(self.machines.items())]
        text = json.dumps({"instances": rows}, indent=1)
        if text != self._written:
            draft = self.site.root / "compute.json.tmp"
            draft.write_text(text)
            draft.replace(self.site.root / "compute.json")
            self._written = text

    def close(self) -> None:
        """End every process: SIGTERM, the grace, SIGKILL. Disks stay."""
        for machine in self.machines.values():
            machine.stop(self.grace_seconds)
        deadline = time.monotonic() + self.grace_seconds + 5
        while time.monotonic() < deadline and any(m.state == "stopping" for m in self.machines.values()):
            for machine in self.machines.values():
                machine.step(self.store)
            time.sleep(STEP_SECONDS)
        self.write_table()


def _clients(site: Site) -> tuple[Any, Any]:
    session = boto3.Session(
        aws_access_key_id=site.access_key, aws_secret_access_key=site.secret_key, region_name="us-east-1"
    )
    config = Config(connect_timeout=2, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})
    return (
        session.client("ec2", endpoint_url=site.endpoint, config=config),
        session.client("s3", endpoint_url=site.endpoint, config=config),
    )


def _round(compute: Compute, *, with_poll: bool) -> None:
    try:
        if with_poll:
            compute.poll()
        compute.step()
    except (BotoCoreError, ClientError) as problem:
        _log.warning("the AWS API does not answer as it should (%s); trying again", problem)
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
    run(Compute(site, *_clients(site), grace_seconds=grace_seconds))
