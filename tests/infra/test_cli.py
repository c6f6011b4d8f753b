"""`python -m infra plan` and its refusals."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from infra.cli import main
from infra.model_files import version_of
from tests.infra.operations.test_outputs import VALUES
from tests.service.tiny_onnx import folder

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line as `python -m infra` does; exit code and all that it printed."""

    def run_it(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["infra", *arguments])
        try:
            main()
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run_it


def test_json_carries_the_formulas_three_steps(run: Run) -> None:
    code, output = run("plan", "--vectors", "1000000", "--dims", "1536", "--queries", "300", "--json")
    assert code == 0
    assert json.loads(output)["ram"] == {
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
    assert json.loads(plain)["shards"] == 2
    assert json.loads(larger)["shards"] == 52


def test_the_page_says_how_long_a_replica_takes_and_what_a_zone_takes_along(run: Run) -> None:
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


def test_another_index_type_can_be_looked_at(run: Run) -> None:
    _, output = run("plan", "--vectors", "1000000", "--dims", "1536", "--index", "pq", "--json")
    assert [term["name"] for term in json.loads(output)["measured"]["terms"]][:2] == ["codes", "codebooks"]


def test_a_capacity_file_replaces_the_assumed_figures(run: Run, tmp_path: Path) -> None:
    measured = tmp_path / "capacity.json"
    measured.write_text(
        json.dumps({"measured": "yesterday", "capacityPerReplica": {"queriesPerSecond": 30, "vcpus": 4}})
    )
    arguments = ["--vectors", "1000000", "--dims", "1536", "--queries", "100", "--json"]
    assert json.loads(run("plan", *arguments)[1])["instance_type"] == "r6i.xlarge"
    code, output = run("plan", *arguments, "--capacity", str(measured))
    assert code == 0
    plain = json.loads(output)
    assert plain["instance_type"] == "r6i.2xlarge"
    assert plain["capacity"]["replica"]["measured"] == {
        "queries_per_second": 30,
        "vcpus": 4,
        "source": f"measured, {measured}",
    }
    assert plain["capacity"]["router"]["measured"]["source"] == "assumed"


def test_a_capacity_file_says_what_a_router_carries_too(run: Run, tmp_path: Path) -> None:
    measured = tmp_path / "capacity.json"
    # With the mark that editors of Windows begin a file with.
    measured.write_text(json.dumps({"capacityPerRouter": {"queriesPerSecond": 40, "vcpus": 2}}), encoding="utf-8-sig")
    code, output = run("plan", "--vectors", "1000", "--dims", "8", "--json", "--capacity", str(measured))
    assert code == 0
    assert json.loads(output)["routers"] == 5


def test_a_number_of_thousands_of_digits_is_refused_by_its_file(run: Run, tmp_path: Path) -> None:
    measured = tmp_path / "capacity.json"
    measured.write_text('{"capacityPerReplica": {"queriesPerSecond": 5, "vcpus": ' + "9" * 5000 + "}}")
    code, output = run("plan", "--vectors", "1000", "--dims", "8", "--capacity", str(measured))
    assert (code, "The capacity file" in output) == (64, True)


def test_the_page_says_by_what_capacity_and_that_its_latency_is_taken_on_trust(run: Run, tmp_path: Path) -> None:
    measured = tmp_path / "capacity.json"
    measured.write_text(json.dumps({"capacityPerReplica": {"queriesPerSecond": 150, "vcpus": 2}}))
    _, output = run("plan", "--stack", "small", "--capacity", str(measured))
    flat = " ".join(output.split())
    assert "│ replica │ 300 │ r6i.xlarge, 4 vCPUs │ 150 on 2 vCPUs │ measured, " in flat
    assert "│ router │ 500 │ m7i.large, 2 vCPUs │ 500 on 2 vCPUs │ assumed" in flat
    assert "Both must have been measured at P95 < 200 ms" in flat


def test_another_objective_can_be_looked_at(run: Run) -> None:
    _, output = run("plan", "--stack", "large", "--recovery", "600", "--json")
    plain = json.loads(output)
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
def test_bedrock_is_paid_for_where_the_stack_has_it(run: Run, arguments: list[str], endpoints: int) -> None:
    code, output = run("plan", *arguments, "--json")
    (line,) = [one for one in json.loads(output)["bill"]["lines"] if one["item"] == "interface endpoints"]
    assert (code, line["quantity"]) == (0, f"{endpoints} × 3 zones")


def test_a_rehearsals_page_says_from_where_its_objective_counts(run: Run) -> None:
    _, local = run("plan", "--stack", "rehearsal")
    assert "On EC2 detection, launch and installation alone would take 195 s." in " ".join(local.split())
    _, real = run("plan", "--stack", "small")
    assert "On EC2 detection" not in " ".join(real.split())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not valid JSON"),
        ("[1]", "holds neither of"),
        ('{"replica": {}}', "holds neither of capacityPerReplica and capacityPerRouter; write either or both."),
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
def test_a_capacity_file_that_says_nothing_usable_is_refused(
    run: Run, tmp_path: Path, content: str, sentence: str
) -> None:
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
        (["--stack", ""], "'' is no name of a stack"),
        (["--stack", "s" * 300], "is no name of a stack"),
        (["--stack", "../main/Pulumi.small"], "is no name of a stack"),
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


def test_graph_prints_what_the_engine_sees(run: Run) -> None:
    code, output = run("graph", "--stack", "rehearsal")
    rows = json.loads(output)
    assert code == 0
    assert all(row.keys() == {"type", "name", "inputs"} for row in rows)
    assert {row["type"].split(":")[0] for row in rows} == {"aws"}
    assert {"httpTokens": "required"}.items() <= next(
        row["inputs"]["metadataOptions"] for row in rows if row["type"].endswith(":LaunchTemplate")
    ).items()


def test_other_dimensions_of_a_stack_are_planned_as_if_its_model_gave_them(run: Run) -> None:
    code, output = run("plan", "--stack", "rehearsal", "--dims", "1536", "--json")
    assert code == 0
    assert json.loads(output)["ram"]["floor_bytes"] == 60_000 * 1536 * 4


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
def test_a_roll_out_that_can_not_be_meant_is_a_usage_error(
    run: Run, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    code, output = rolled(run, tmp_path, *arguments)
    assert (code, "Traceback" in output) == (64, False)
    assert sentence in output


def test_a_roll_out_without_outputs_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    code, output = run("roll", "--outputs", str(tmp_path / "none.json"))
    assert (code, "pulumi stack output --json" in output) == (64, True)


def test_an_aws_that_does_not_answer_is_a_failure_in_a_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    code, output = rolled(run, tmp_path, "--warm-up", "0")
    assert (code, "Traceback" in output) == (1, False)
    assert "the same call goes on from there" in output


def test_who_is_nobody_to_aws_is_told_how_to_be_somebody(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "PROFILE", "SESSION_TOKEN"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(sys, "stdin", io.StringIO("s3cret\n"))
    code, output = run("secret", "embedding", "--stack", "large")
    assert (code, "Traceback" in output) == (1, False)
    assert "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in output


def test_the_key_for_a_models_server_goes_from_standard_input_to_a_secure_string(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    name = "/vectorfleet-secrets/large/embedding"
    with mock_aws():
        ssm = boto3.client("ssm", "us-east-1")
        # Before the stack stands: its first cells wait for an indexer that has the key.
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
        assert (code, "Standard input held nothing" in output) == (64, True)


def test_a_stack_whose_model_wants_no_key_takes_none(run: Run) -> None:
    code, output = run("secret", "embedding", "--stack", "small")
    assert (code, "embedding.provider is bedrock, which takes no key" in output) == (64, True)


def test_a_key_that_is_kept_already_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps(VALUES))
    (tmp_path / "key").write_text("vf_old_1")
    code, output = run("keys", "create", "new", "--outputs", str(path), "--save")
    assert (code, "is there already" in output) == (64, True)
    assert (tmp_path / "key").read_text() == "vf_old_1"
    assert run("keys", "revoke", "--outputs", str(path))[0] == 64
    assert run("keys", "revoke", "a", "--all", "--outputs", str(path))[0] == 64


def test_a_packed_model_says_its_version(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.verbs.model.PROJECT_ROOT", tmp_path)
    source = folder(tmp_path / "source")
    version = version_of(source)
    code, output = run("model", str(source))
    assert (code, output) == (0, f"{tmp_path}/dist/model-{version}.zip: 0 MB; set embedding.version to {version}\n")
    code, output = run("model", str(tmp_path))
    assert code == 64
    assert "has no model.onnx and no tokenizer.json" in output
