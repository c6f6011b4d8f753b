"""Verbs on a standing fleet: runbook pages, load from generators inside its network, roll-outs under queries."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtests.run.queries import Query, QuerySet, save_queries
from loadtests.run.settings import Limits, Settings
from rehearsal import deployer
from rehearsal.emulator.launch import PROJECT, free_port
from rehearsal.fleet import all_ready, await_status, replicas
from runbooks.pages.page import PAGES
from service.client import Client, ServiceError, Unanswered
from tests.e2e.rehearsal import STEP_SECONDS, Rehearsal, until
from tests.e2e.torn_log import TornLog
from tests.rehearsal.programs.project import client, real_project
from vectorfleet.api_key import find_key

PAUSE_SECONDS = 0.05
REPLICAS = 2
ORDER = ["cell 0a", "cell 1a", "cell 0b", "cell 1b"]
NEVER_READY_SHARD = "99"
# The load of the machine is not the subject of this test.
LENIENT = Settings(
    limits=Limits(spin_change=1e6, steal_share=0.99, cpu_share=100.0, floor_limit_ms=1e6, lag_limit_ms=1e5)
)


class Trickle:
    """Searches one after the other, and what became of them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.complete = 0
        self.wrong: list[str] = []

    @contextmanager
    def running(self) -> Iterator[Trickle]:
        ended = threading.Event()

        def search() -> None:
            while not ended.wait(PAUSE_SECONDS):
                self._one()

        thread = threading.Thread(target=search)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()

    def _one(self) -> None:
        try:
            answer = self._client.search(text="a machine that is replaced", k=3)
        except (ServiceError, Unanswered) as error:
            self.wrong.append(f"{time.strftime('%X')} {error}")
            return
        if answer["partial"] or len(answer["hits"]) != 3:
            self.wrong.append(f"{time.strftime('%X')} partial or short: {answer}")
        else:
            self.complete += 1


class Standing:
    """A standing rehearsal with its clients."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.root = rehearsal.root
        self.endpoint = f"http://127.0.0.1:{rehearsal.port}"
        self.outputs = rehearsal.outputs()
        self.api = client(self.endpoint)
        self.client = Client(self.outputs["endpoint"], timeout_seconds=5)

    def fill(self) -> None:
        documents = [
            {
                "source_id": f"roll/{number}",
                "title": f"Note {number}",
                "text": f"machine {number} is replaced by another",
            }
            for number in range(40)
        ]
        self.write(documents)

    def write(self, documents: list[dict[str, Any]]) -> None:
        """Write and wait until every replica has it."""
        position = self.client.write(documents)["position"]
        await_status(
            self.client,
            lambda s: all_ready(s, REPLICAS) and all(r["position"] >= position for r in replicas(s)),
            "a fleet in which every replica has the write",
            STEP_SECONDS,
        )

    def roll(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        done = self.call("roll", "--role", "node", "--warm-up", "1", "--bake", "2", "--json", *arguments)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def weights(self, *arguments: str) -> tuple[int, list[int]]:
        done = self.call("weights", "--json", *arguments)
        return done.returncode, [slot["weight"] for slot in json.loads(done.stdout or "[]")]

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Call a verb on this stack, as a person does."""
        command = self._command(arguments)
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=STEP_SECONDS, check=False)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a verb on this stack."""
        return subprocess.Popen(
            self._command(arguments), cwd=PROJECT, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "vectorfleet", *arguments, "--outputs", str(self.root / "outputs.json")]

    def keep_golden_answers(self) -> None:
        """Write documents of the corpus that the pages' golden questions are about, and keep what is found."""
        for words in (["ingest", "--services", "sts"], ["golden", "--save", str(self.baseline)]):
            done = self.call(*words)
            assert done.returncode == 0, done.stderr

    @property
    def baseline(self) -> Path:
        """The golden answers while all is well."""
        return self.root / "golden.json"

    def walk(self, page: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Walk a page and run every step, with a foreign `python` and `vectorfleet` first on PATH."""
        folder.mkdir()
        for name in ("python", "vectorfleet"):
            (folder / name).write_text("#!/bin/sh\necho 'no such environment' >&2\nexit 9\n")
            (folder / name).chmod(0o755)
        environment = {
            **{name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")},
            "PATH": f"{folder}:/usr/bin:/bin",
            "VECTORFLEET_BASELINE": str(self.baseline),
            "VECTORFLEET_WINDOW": "3s",
        }
        command = [sys.executable, "-m", "vectorfleet", "runbook", "walk", page]
        files = ["--journal", str(folder / "journal.jsonl"), "--outputs", str(self.root / "outputs.json")]
        return subprocess.run(
            [*command, *files],
            cwd=PROJECT,
            env=environment,
            input="r\n" * 20,
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )

    def generators(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.call("generators", verb, *arguments)

    def no_generator(self) -> bool:
        filters = [
            {"Name": "tag:vectorfleet:role", "Values": ["generator"]},
            {"Name": "instance-state-name", "Values": ["pending", "running", "shutting-down"]},
        ]
        return not list(self.api("ec2").describe_instances(Filters=filters)["Reservations"])

    def groups(self) -> list[dict[str, Any]]:
        names = [cell["group"] for cell in self.outputs["slots"]["blue"]["cells"]]
        answer = self.api("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=names)
        return list(answer["AutoScalingGroups"])

    def routers(self) -> list[str]:
        """Base URLs of the routers in slot blue."""
        group = self.outputs["target_groups"]["blue"]
        targets = self.api("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        names = [entry["Target"]["Id"] for entry in targets]
        found = self.api("ec2").describe_instances(InstanceIds=names)["Reservations"]
        return [f"http://{one['PrivateIpAddress']}:8080" for row in found for one in row["Instances"]]

    def versions(self) -> Counter[str]:
        """Template versions of the cells and of their instances."""
        groups = self.groups()
        instances = [row["LaunchTemplate"]["Version"] for group in groups for row in group["Instances"]]
        return Counter([*(_template(group)["Version"] for group in groups), *instances])

    def make_versions_that_never_get_ready(self) -> None:
        """New versions whose nodes look for a shard that no build has, and hooks that give up on them soon."""
        ec2 = self.api("ec2")
        for group in self.groups():
            self.api("autoscaling").put_lifecycle_hook(
                AutoScalingGroupName=group["AutoScalingGroupName"], LifecycleHookName="ready", HeartbeatTimeout=4
            )
            template = _template(group)["LaunchTemplateId"]
            found = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Latest"])
            data = found["LaunchTemplateVersions"][0]["LaunchTemplateData"]
            ec2.create_launch_template_version(
                LaunchTemplateId=template,
                SourceVersion=str(found["LaunchTemplateVersions"][0]["VersionNumber"]),
                LaunchTemplateData={"UserData": _spoiled(data["UserData"])},
            )


def _template(group: dict[str, Any]) -> dict[str, str]:
    return dict(group["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"])


def _spoiled(user_data: str) -> str:
    header, _, body = base64.b64decode(user_data).decode().partition("\n")
    config = json.loads(body)
    manifest = json.loads(config["write_files"][0]["content"])
    manifest["environment"]["VECTORFLEET_SHARD"] = NEVER_READY_SHARD
    config["write_files"][0]["content"] = json.dumps(manifest)
    return base64.b64encode(f"{header}\n{json.dumps(config)}".encode()).decode()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    rehearsal = Rehearsal(tmp_path_factory.mktemp("standing"))
    try:
        rehearsal.up()
        standing = Standing(rehearsal)
        standing.fill()
        yield standing
    finally:
        rehearsal.end()


@pytest.mark.parametrize("page", sorted(path.stem[:5] for path in PAGES.glob("RB-*.md")))
def test_every_page_ends_well_in_a_healthy_fleet(standing: Standing, tmp_path: Path, page: str) -> None:
    if not standing.baseline.exists():
        standing.keep_golden_answers()
    walked = standing.walk(page, tmp_path / "walk")
    assert (walked.returncode, f"PASS: {page} ran to its end" in walked.stdout) == (0, True), walked.stdout


def test_a_request_reaches_the_slot_that_it_names_or_none(standing: Standing) -> None:
    find_key(standing.root / "outputs.json")
    router = Client(standing.routers()[0], slot="blue")
    for asked in (standing.client, Client(standing.outputs["endpoint"], slot="BLUE"), router):
        assert asked.status()["slot"] == "blue"
    # Green has no targets; the load balancer's own answer is no problem of a router.
    for endpoint, status in ((standing.outputs["endpoint"], 503), (router.endpoint, 421)):
        with pytest.raises(ServiceError) as refused:
            Client(endpoint, slot="green").search(text="a machine that is replaced")
        assert (refused.value.status, refused.value.title == "Misdirected Request") == (status, status == 421)
    question = ["search", "a machine that is replaced", "--json", "--slot"]
    assert standing.call(*question, "blue").returncode == 0
    assert "503" in standing.call(*question, "green").stderr


def test_a_page_restores_entries_that_were_deleted_and_changed(standing: Standing, tmp_path: Path) -> None:
    for number in range(4):
        standing.write([{"source_id": "torn/1", "text": f"torn page number {number}"}])
    torn = TornLog(standing.api, standing.outputs, "torn/1")
    newest = torn.log.head()
    torn.delete(newest - 2)
    torn.spoil(newest - 1)
    torn.terminate_a_replica()
    until(
        lambda: any(row["stale"] for row in replicas(standing.client.status())),
        "a stopped replica",
        STEP_SECONDS,
    )
    walked = standing.walk("RB-04", tmp_path / "walk")
    assert (walked.returncode, "PASS: RB-04 ran to its end" in walked.stdout) == (0, True), walked.stdout
    assert torn.versions(newest - 2, newest) == [(number, False) for number in range(newest - 2, newest + 1)]
    assert "number 3" in str(standing.client.document("torn/1"))


def test_load_comes_from_generators_that_a_verb_starts_and_ends(standing: Standing, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    save_queries(questions, QuerySet((Query("which machine is replaced", ("roll/1",)),), 3, "roll/"))
    port = str(free_port())
    assert standing.generators("start", "--count", "9", "--master", "127.0.0.1").returncode == 64
    try:
        begun = standing.generators(
            "start", "--count", "1", "--processes", "2", "--master", "127.0.0.1", "--port", port, "--within", "60"
        )
        assert begun.returncode == 0, begun.stderr
        folder = tmp_path / "gate"
        gate = [
            "load",
            "gate",
            "--runs",
            "2",
            "--workers",
            "2",
            "--listen",
            f"127.0.0.1:{port}",
            "--evidence",
            str(folder),
        ]
        load = replace(LENIENT.load, rate=30.0, window_seconds=4.0, queries=str(questions), k=3)
        settings = replace(LENIENT, load=load, targets=replace(LENIENT.targets, recall_floor=0.0, error_share=0.05))
        done = standing.call(*gate, *settings.arguments(), "--json")
        result = json.loads(done.stdout)
        assert result["verdict"] == "PASS", (result, done.stderr)
        assert [run["judged"] == run["arrivals"] > 0 for run in result["runs"]] == [True, True]
        workers = [json.loads((folder / f"run-{run}" / "generators.json").read_text()) for run in (1, 2)]
        assert [len(generators) for generators in workers] == [2, 2]
    finally:
        ended = standing.generators("stop")
    assert ended.returncode == 0, ended.stderr
    until(standing.no_generator, "the end of the generators", STEP_SECONDS)


def test_a_roll_out_fails_no_query(standing: Standing, tmp_path: Path) -> None:
    with Trickle(standing.client).running() as trickle:
        deployer.up(
            "rehearsal",
            standing.root,
            standing.endpoint,
            project=real_project(tmp_path / "changed", amiId="ami-0fedcba9876543210"),
        )
        assert standing.versions() == {"1": 8}
        code, result = standing.roll()
        assert (code, result["rolled"], result["failed"]) == (0, ORDER, "")
        assert standing.versions() == {"2": 8}
        assert standing.roll() == (0, {**result, "rolled": [], "skipped": ORDER})
        assert standing.weights() == (0, [100, 0])
        # Green has no targets and gets no requests.
        assert standing.weights("--blue", "50", "--green", "50")[0] == 64
        assert standing.weights("--blue", "10", "--green", "0") == (0, [10, 0])

        standing.make_versions_that_never_get_ready()
        before = {row["instance"] for row in replicas(standing.client.status())}
        code, result = standing.roll()
        assert (code, result["failed"], result["rolled_back"]) == (1, "cell 0a", True)
        assert "was abandoned" in result["reason"]
        assert result["untouched"] == ORDER[1:]
        assert standing.versions() == {"2": 8}
    await_status(standing.client, lambda status: all_ready(status, REPLICAS), "a whole fleet", STEP_SECONDS)
    # The router lists the instance that was given up for a moment.
    until(
        lambda: {row["instance"] for row in replicas(standing.client.status())} == before,
        "the replicas from before",
        STEP_SECONDS,
    )
    assert trickle.wrong == []
    assert trickle.complete > 100
