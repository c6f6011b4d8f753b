"""User data: a thin bootstrap and a role manifest within EC2's limit."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import pytest

from infra import PROJECT_ROOT
from infra.boot.artifact import INSTALLER
from infra.boot.model_files import ModelFiles
from infra.boot.user_data import (
    BOOTSTRAP_PATH,
    BOOTSTRAP_SOURCE,
    ROLE_PATH,
    USER_DATA_LIMIT_BYTES,
    Role,
    encode,
    manifest,
    render,
)
from infra.boot.wheelhouse import Wheelhouse
from infra.configuration.settings_sections import Traces


class S3Object(TypedDict):
    """The place of an artifact in S3."""

    bucket: str
    key: str
    sha256: str


NODE = Role("node", "main", "blue", "us-east-1", "/vectorfleet/main", shard=0, replica="a")
ROUTER = Role("router", "main", "blue", "us-east-1", "/vectorfleet/main")
SCRIPTS = (BOOTSTRAP_SOURCE, PROJECT_ROOT / INSTALLER)
ARTIFACT: S3Object = {"bucket": "code", "key": "service/abc.zip", "sha256": "abc"}


def test_a_nodes_manifest_has_artifact_command_and_environment() -> None:
    assert manifest(NODE, **ARTIFACT) == {
        "artifact": ARTIFACT,
        "argv": ["python", "-m", "vectorfleet", "node"],
        "environment": {
            "VECTORFLEET_FLEET": "main",
            "VECTORFLEET_ROLE": "node",
            "VECTORFLEET_SLOT": "blue",
            "VECTORFLEET_SHARD": "0",
            "VECTORFLEET_REPLICA": "a",
            "VECTORFLEET_LIFECYCLE_HOOK": "ready",
            "VECTORFLEET_PARAMETERS": "/vectorfleet/main",
            "VECTORFLEET_PORT": "8080",
            "AWS_REGION": "us-east-1",
        },
    }


def test_traces_use_opentelemetrys_variables() -> None:
    traces = Traces(endpoint="http://collector:4318", sample_share=0.25)
    added = replace(NODE, traces=traces).environment().items() - NODE.environment().items()
    assert dict(added) == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
    }
    generator = Role("generator", "main", "blue", "us-east-1", "/vectorfleet/main", traces=traces)
    for silent in (replace(NODE, traces=Traces()), generator):
        assert not [name for name in silent.environment() if name.startswith("OTEL_")]


def test_a_router_belongs_to_no_shard() -> None:
    assert not {"VECTORFLEET_SHARD", "VECTORFLEET_REPLICA"} & ROUTER.environment().keys()
    assert not {"vectorfleet:shard", "vectorfleet:replica"} & ROUTER.tags().keys()


def test_tags_have_fleet_role_slot_shard_and_replica() -> None:
    assert NODE.tags() == {
        "Name": "main-blue-node-0-a",
        "vectorfleet:fleet": "main",
        "vectorfleet:role": "node",
        "vectorfleet:slot": "blue",
        "vectorfleet:shard": "0",
        "vectorfleet:replica": "a",
    }


def test_user_data_is_cloud_config() -> None:
    text = base64.b64decode(encode(manifest(NODE, **ARTIFACT))).decode()
    first, rest = text.split("\n", 1)
    config = json.loads(rest)
    files = {entry["path"]: entry for entry in config["write_files"]}
    assert first == "#cloud-config"
    assert json.loads(files[ROLE_PATH]["content"]) == manifest(NODE, **ARTIFACT)
    assert files[ROLE_PATH]["permissions"] == "0644"
    assert files[BOOTSTRAP_PATH]["permissions"] == "0755"
    assert files[BOOTSTRAP_PATH]["content"].startswith("#!/bin/bash\n")
    assert config["runcmd"] == [[BOOTSTRAP_PATH]]


def test_user_data_above_ec2s_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="EC2 takes 16384"):
        render(manifest(NODE, **ARTIFACT), "#" * 20_000)


def test_the_wheelhouse_lies_in_the_artifacts_bucket() -> None:
    wheelhouse = Wheelhouse(Path("dist/wheelhouse-def.zip"), "def", 1, (), "inputs")
    both = manifest(NODE, **ARTIFACT, wheelhouse=wheelhouse)
    assert both == {
        **manifest(NODE, **ARTIFACT),
        "wheelhouse": {"bucket": "code", "key": "wheelhouse/def.zip", "sha256": "def"},
    }


def test_only_roles_that_embed_fetch_the_model(tmp_path: Path) -> None:
    model = packed_model(tmp_path)
    router, node = (manifest(role, **ARTIFACT, model=model) for role in (ROUTER, NODE))
    assert router["model"] == {"bucket": "code", "key": f"model/{model.sha256}.zip", "sha256": model.sha256}
    assert "model" not in node


def packed_model(path: Path) -> ModelFiles:
    (path / "model-1.zip").write_bytes(b"a model")
    return ModelFiles(path / "model-1.zip", "1")


def test_the_bootstrap_leaves_room_for_a_longer_manifest(tmp_path: Path) -> None:
    wheelhouse = Wheelhouse(Path("w.zip"), "f" * 64, 1, (), "inputs")
    stored: S3Object = {"bucket": "b" * 63, "key": f"service/{'f' * 64}.zip", "sha256": "f" * 64}
    text = base64.b64decode(encode(manifest(ROUTER, **stored, wheelhouse=wheelhouse, model=packed_model(tmp_path))))
    assert len(text) < USER_DATA_LIMIT_BYTES / 2


def test_the_bootstrap_checks_unpacks_and_runs_in_this_order() -> None:
    script = BOOTSTRAP_SOURCE.read_text()
    steps = ("sha256sum --check", "zipfile -e", f'. "$artifact/{INSTALLER}"', "\n  install_service\n")
    assert sorted(map(script.index, steps)) == list(map(script.index, steps))


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_the_scripts_are_valid_bash(script: Path) -> None:
    checked = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say() -> None:
    command = ["shellcheck", "--external-sources", *map(str, SCRIPTS)]
    checked = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT_ROOT)
    assert checked.returncode == 0, checked.stdout
