"""`vectorfleet plan` and other verbs of infra, with their refusals."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra import PROJECT_ROOT
from infra.boot.model_files import version_of
from tests.service.tiny_onnx import folder
from tests.stack_outputs import VALUES
from vectorfleet.door import main

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command; return its exit code and all output."""

    def run_it(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(arguments, prog_name="vectorfleet")
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out + captured.err

    return run_it


def test_python_m_infra_is_the_same_command() -> None:
    command = [sys.executable, "-m", "infra", "--help"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "Usage: python -m infra [OPTIONS] COMMAND" in done.stdout


def planned(output: str) -> dict[str, Any]:
    """Return the plan of slot blue."""
    return dict(json.loads(output)["slots"]["blue"])


def test_json_carries_the_formulas_three_steps(run: Run) -> None:
    code, output = run("plan", "--vectors", "1000000", "--dims", "1536", "--queries", "300", "--json")
    assert code == 0
    assert planned(output)["ram"] == {
        "floor_bytes": 6_144_000_000,
        "index_bytes": 12_288_000_000,
        "recommended_bytes": 18_432_000_000,
    }


def test_the_table_shows_steps_terms_fleet_and_cost(run: Run) -> None:
    code, output = run("plan", "--vectors", "1000000", "--dims", "1536")
    assert code == 0
    for text in ("6,144,000,000", "12,288,000,000", "18,432,000,000", "second generation", "r6i.xlarge", "total"):
        assert text in output


def test_a_stacks_numbers_can_be_overridden(run: Run) -> None:
    _, plain = run("plan", "--stack", "rehearsal", "--json")
    _, larger = run("plan", "--stack", "rehearsal", "--vectors", "90000000", "--json")
    assert planned(plain)["shards"] == 2
    assert planned(larger)["shards"] == 52


def test_the_page_has_recovery_and_zone_loss(run: Run) -> None:
    _, output = run("plan", "--vectors", "1000000", "--dims", "1536")
    for text in (
        "A lost replica is back after",
        "within the objective of 900 s",
        "If a zone goes",
        "1 replica of each",
    ):
        assert text in output
    for text in ("Not chosen", "r7i.xlarge", "5% dearer"):
        assert text in output


def test_another_index_type_can_be_planned(run: Run) -> None:
    _, output = run("plan", "--vectors", "1000000", "--dims", "1536", "--index", "pq", "--json")
    assert [term["name"] for term in planned(output)["measured"]["terms"]][:2] == ["codes", "codebooks"]


def test_a_capacity_file_replaces_the_assumed_figures(run: Run, tmp_path: Path) -> None:
    measured = tmp_path / "capacity.json"
    measured.write_text(
        json.dumps({"measured": "yesterday", "capacityPerReplica": {"queriesPerSecond": 30, "vcpus": 4}})
    )
    arguments = ["--vectors", "1000000", "--dims", "1536", "--queries", "100", "--json"]
    assert planned(run("plan", *arguments)[1])["instance_type"] == "r6i.xlarge"
    code, output = run("plan", *arguments, "--capacity", str(measured))
    assert code == 0
    plain = planned(output)
    assert plain["instance_type"] == "r6i.2xlarge"
    assert plain["capacity"]["replica"]["measured"] == {
        "queries_per_second": 30,
        "vcpus": 4,
        "source": f"measured, {measured}",
    }
    assert plain["capacity"]["router"]["measured"]["source"] == "assumed"


def test_a_capacity_file_may_have_a_routers_capacity(run: Run, tmp_path: Path) -> None:
    measured = tmp_path / "capacity.json"
    # Editors on Windows write a byte order mark first.
    measured.write_text(json.dumps({"capacityPerRouter": {"queriesPerSecond": 40, "vcpus": 2}}), encoding="utf-8-sig")
    code, output = run("plan", "--vectors", "1000", "--dims", "8", "--json", "--capacity", str(measured))
    assert code == 0
    assert planned(output)["routers"] == 5


def test_a_number_of_thousands_of_digits_is_refused_by_its_file(run: Run, tmp_path: Path) -> None:
    measured = tmp_path / "capacity.json"
    measured.write_text('{"capacityPerReplica": {"queriesPerSecond": 5, "vcpus": ' + "9" * 5000 + "}}")
    code, output = run("plan", "--vectors", "1000", "--dims", "8", "--capacity", str(measured))
    assert (code, "The capacity file" in output) == (64, True)


def test_the_page_has_capacities_and_their_condition(run: Run, tmp_path: Path) -> None:
    measured = tmp_path / "capacity.json"
    measured.write_text(json.dumps({"capacityPerReplica": {"queriesPerSecond": 150, "vcpus": 2}}))
    _, output = run("plan", "--stack", "small", "--capacity", str(measured))
    flat = " ".join(output.split())
    assert "│ replica │ 300 │ r6i.xlarge, 4 vCPUs │ 150 on 2 vCPUs │ measured, " in flat
    assert "│ router │ 500 │ m7i.large, 2 vCPUs │ 500 on 2 vCPUs │ assumed" in flat
    assert "Both must have been measured at P95 < 200 ms" in flat


def test_another_objective_can_be_planned(run: Run) -> None:
    _, output = run("plan", "--stack", "large", "--recovery", "600", "--json")
    plain = planned(output)
    assert (plain["recovery_time_seconds"], plain["restore"]["seconds"] <= 600) == (600, True)
    assert plain["retrieval_p95_ms"] == 200


@pytest.mark.parametrize(
    ("arguments", "endpoints"),
    [
        (["--stack", "small"], 7),
        (["--stack", "small", "--dims", "768"], 7),
        (["--stack", "large"], 6),
        (["--stack", "rehearsal", "--dims", "1536"], 6),
        (["--vectors", "5", "--dims", "8"], 6),
    ],
)
def test_bedrocks_endpoint_is_priced_where_a_stack_uses_it(run: Run, arguments: list[str], endpoints: int) -> None:
    code, output = run("plan", *arguments, "--json")
    (line,) = [one for one in json.loads(output)["bill"]["lines"] if one["item"] == "interface endpoints"]
    assert (code, line["quantity"]) == (0, f"{endpoints} × 3 zones")


def test_a_rehearsals_page_explains_its_objective(run: Run) -> None:
    _, local = run("plan", "--stack", "rehearsal")
    assert "On EC2 detection, launch and installation alone would take 195 s." in " ".join(local.split())
    _, real = run("plan", "--stack", "small")
    assert "On EC2 detection" not in " ".join(real.split())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not valid JSON"),
        ("[1]", "has neither"),
        ('{"replica": {}}', "has neither capacityPerReplica nor capacityPerRouter; write one or both."),
        ('{"capacityPerReplica": {"queriesPerSecond": -1}}', "capacityPerReplica.queriesPerSecond is -1"),
        ('{"capacityPerReplica": {"queriesPerSecond": 1e-320}}', "capacityPerReplica.queriesPerSecond is 1e-320"),
        ('{"capacityPerRouter": {"queriesPerSecond": 1e-310}}', "capacityPerRouter.queriesPerSecond is 1e-310"),
        ('{"capacityPerRouter": {"queriesPerSecond": Infinity}}', "capacityPerRouter.queriesPerSecond is Infinity"),
        ('{"capacityPerRouter": {"queriesPerSecond": NaN}}', "capacityPerRouter.queriesPerSecond is NaN"),
        ('{"capacityPerRouter": {"queriesPerSecond": true}}', "capacityPerRouter.queriesPerSecond is true"),
        ('{"capacityPerRouter": {"queriesPerSecond": 5, "vcpus": true}}', "capacityPerRouter.vcpus is true"),
        ('{"capacityPerRouter": {"queriesPerSecond": 5, "vcpus": 2000}}', "capacityPerRouter.vcpus is 2000"),
        ('{"capacityPerRouter": {"qps": 5}}', "allowed: queriesPerSecond, queries per second from 0.001"),
        ('{"capacityPerRouter": 5}', "capacityPerRouter is 5"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_an_unusable_capacity_file_is_refused(run: Run, tmp_path: Path, content: str, sentence: str) -> None:
    measured = tmp_path / "capacity.json"
    measured.write_text(content)
    code, output = run("plan", "--vectors", "5", "--dims", "8", "--capacity", str(measured))
    assert code == 64
    assert sentence in output
    assert str(measured) in output
    assert "pulumi config" not in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--vectors", "-5", "--dims", "8"], "'--vectors': -5 is not in the range 1<=x<=1000000000000"),
        (["--vectors", "5", "--dims", "many"], "'--dims': 'many' is not a valid integer range"),
        (["--vectors", "5"], "Give --dims, or --stack NAME"),
        (["--vectors", "9" * 400, "--dims", "8"], "'--vectors'"),
        (["--vectors", "5", "--dims", "8", "--queries", "inf"], "'--queries': inf is not in the range"),
        (["--vectors", "5", "--dims", "8", "--queries", "nan"], "'--queries': nan is not in the range"),
        (["--vectors", "5", "--dims", "8", "--queries", "1e-320"], "'--queries'"),
        (["--vectors", "5", "--dims", "8", "--recovery", "9"], "'--recovery': 9 is not in the range 10<=x<=86400"),
        (["--vectors", "5", "--dims", "8", "--recovery", "60"], "Raise objectives.recoveryTimeSeconds above 195."),
        (["--stack", "moon"], "There is no stack 'moon'"),
        (["--stack", ""], "'' is not a stack name"),
        (["--stack", "s" * 300], "is not a stack name"),
        (["--stack", "../main/Pulumi.small"], "is not a stack name"),
        (["--vectors", "5", "--dims", "8", "--queries", "1e9"], "No instance type carries"),
    ],
)
def test_a_refusal_is_a_sentence_with_the_code_of_usage_errors(run: Run, arguments: list[str], sentence: str) -> None:
    code, output = run("plan", *arguments)
    assert code == 64
    assert sentence in output
    assert "Traceback" not in output


def test_an_unknown_option_is_a_usage_error_too(run: Run) -> None:
    assert run("plan", "--vektors", "5")[0] == 64


def test_graph_prints_types_names_and_inputs(run: Run) -> None:
    code, output = run("graph", "--stack", "rehearsal")
    rows = json.loads(output)
    assert code == 0
    assert all(row.keys() == {"type", "name", "inputs"} for row in rows)
    assert {row["type"].split(":")[0] for row in rows} == {"aws"}
    assert {"httpTokens": "required"}.items() <= next(
        row["inputs"]["metadataOptions"] for row in rows if row["type"].endswith(":LaunchTemplate")
    ).items()


def test_other_dimensions_of_a_stack_can_be_planned(run: Run) -> None:
    code, output = run("plan", "--stack", "rehearsal", "--dims", "1536", "--json")
    assert code == 0
    assert planned(output)["ram"]["floor_bytes"] == 60_000 * 1536 * 4


def rolled(run: Run, folder: Path, *arguments: str) -> tuple[int, str]:
    (folder / "outputs.json").write_text(json.dumps(VALUES))
    return run("roll", "--outputs", str(folder / "outputs.json"), *arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--shard", "7"], "There is no shard 7; the stack has 0 to 0."),
        (["--shard", "0", "--role", "router"], "--shard goes with cells alone"),
        (["--role", "balancer"], "'balancer' is not one of 'node', 'indexer', 'router'"),
    ],
)
def test_a_roll_out_of_unknown_instances_is_a_usage_error(
    run: Run, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    code, output = rolled(run, tmp_path, *arguments)
    assert (code, "Traceback" in output) == (64, False)
    assert sentence in output


def test_a_roll_out_without_outputs_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    code, output = run("roll", "--outputs", str(tmp_path / "none.json"))
    assert (code, "pulumi stack output --json" in output) == (64, True)


def test_an_aws_without_answer_is_a_failure_in_a_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    code, output = rolled(run, tmp_path, "--warm-up", "0")
    assert (code, "Traceback" in output) == (1, False)
    assert "the same call continues" in output


def test_missing_aws_credentials_are_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "PROFILE", "SESSION_TOKEN"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # The session that an earlier test made remembers its keys.
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    monkeypatch.setattr(sys, "stdin", io.StringIO("s3cret\n"))
    code, output = run("secret", "embedding", "--stack", "large")
    assert (code, "Traceback" in output) == (1, False)
    assert "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in output


def test_a_models_key_goes_from_stdin_to_a_secure_string(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    name = "/vectorfleet-secrets/large/embedding"
    with mock_aws():
        ssm = boto3.client("ssm", "us-east-1")
        # The key comes before the stack, since the first cells wait for an indexer that needs it.
        monkeypatch.setattr(sys, "stdin", io.StringIO("s3cret\n"))
        code, output = run("secret", "embedding", "--stack", "large")
        assert (code, "s3cret" in output) == (0, False)
        found = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
        assert (found["Type"], found["Value"]) == ("SecureString", "s3cret")
        assert run("secret", "embedding", "--stack", "large", "--delete") == (0, f"{name} is forgotten.\n")
        assert run("secret", "embedding", "--stack", "large", "--delete")[0] == 0
        with pytest.raises(ssm.exceptions.ParameterNotFound):
            ssm.get_parameter(Name=name)
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
        code, output = run("secret", "embedding", "--stack", "large")
        assert (code, "Standard input is empty" in output) == (64, True)


def test_a_model_without_a_key_refuses_one(run: Run) -> None:
    code, output = run("secret", "embedding", "--stack", "small")
    assert (code, "embedding.provider is bedrock, which takes no key" in output) == (64, True)


def test_a_saved_key_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps(VALUES))
    (tmp_path / "key").write_text("vf_old_1")
    code, output = run("keys", "create", "new", "--outputs", str(path), "--save")
    assert (code, "exists, and its content" in output) == (64, True)
    assert (tmp_path / "key").read_text() == "vf_old_1"
    assert run("keys", "revoke", "--outputs", str(path))[0] == 64
    assert run("keys", "revoke", "a", "--all", "--outputs", str(path))[0] == 64


def test_a_packed_model_says_its_version(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.boot.model_files.PROJECT_ROOT", tmp_path)
    source = folder(tmp_path / "source")
    version = version_of(source)
    code, output = run("model", str(source))
    assert (code, output) == (0, f"{tmp_path}/dist/model-{version}.zip: 0 MB; set embedding.version to {version}\n")
    code, output = run("model", str(tmp_path))
    assert code == 64
    assert "has no model.onnx and no tokenizer.json" in output
