"""User data is a thin bootstrap and a role manifest, and fits EC2."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import pytest

from infra.artifact import INSTALLER, PROJECT_ROOT
from infra.model_files import ModelFiles
from infra.sections import Traces
from infra.user_data import (
    BOOTSTRAP_PATH,
    BOOTSTRAP_SOURCE,
    ROLE_PATH,
    USER_DATA_LIMIT_BYTES,
    Role,
    encode,
    manifest,
    render,
)
from infra.wheelhouse import Wheelhouse


class Stored(TypedDict):
    """Where the artifact lies."""

    bucket: str
    key: str
    sha256: str


NODE = Role("node", "main", "blue", "us-east-1", "/vectorfleet/main", shard=0, replica="a")
ROUTER = Role("router", "main", "blue", "us-east-1", "/vectorfleet/main")
SCRIPTS = (BOOTSTRAP_SOURCE, PROJECT_ROOT / INSTALLER)
ARTIFACT: Stored = {"bucket": "code", "key": "service/abc.zip", "sha256": "abc"}


def test_a_nodes_manifest_is_the_contracts() -> None:
    assert manifest(NODE, **ARTIFACT) == {
        "artifact": ARTIFACT,
        "argv": ["python", "-m", "service", "node"],
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


def test_where_traces_go_stands_in_the_environment_by_opentelemetrys_own_names() -> None:
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


def test_tags_are_what_discovery_reads() -> None:
    assert NODE.tags() == {
        "Name": "main-blue-node-0-a",
        "vectorfleet:fleet": "main",
        "vectorfleet:role": "node",
        "vectorfleet:slot": "blue",
        "vectorfleet:shard": "0",
        "vectorfleet:replica": "a",
    }


def test_cloud_init_finds_its_mark_and_json_below_it() -> None:
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


def test_what_ec2_would_refuse_is_refused_here() -> None:
    with pytest.raises(ValueError, match="EC2 takes 16384"):
        render(manifest(NODE, **ARTIFACT), "#" * 20_000)


def test_a_wheelhouse_stands_beside_the_artifact_in_the_same_bucket() -> None:
    wheelhouse = Wheelhouse(Path("dist/wheelhouse-def.zip"), "def", 1, (), "inputs")
    both = manifest(NODE, **ARTIFACT, wheelhouse=wheelhouse)
    assert both == {
        **manifest(NODE, **ARTIFACT),
        "wheelhouse": {"bucket": "code", "key": "wheelhouse/def.zip", "sha256": "def"},
    }


def test_who_embeds_fetches_the_model_and_nobody_else(tmp_path: Path) -> None:
    model = packed_model(tmp_path)
    router, node = (manifest(role, **ARTIFACT, model=model) for role in (ROUTER, NODE))
    assert router["model"] == {"bucket": "code", "key": f"model/{model.sha256}.zip", "sha256": model.sha256}
    assert "model" not in node


def packed_model(path: Path) -> ModelFiles:
    (path / "model-1.zip").write_bytes(b"a model")
    return ModelFiles(path / "model-1.zip", "1")


def test_the_bootstrap_leaves_room_for_a_longer_manifest(tmp_path: Path) -> None:
    wheelhouse = Wheelhouse(Path("w.zip"), "f" * 64, 1, (), "inputs")
    stored: Stored = {"bucket": "b" * 63, "key": f"service/{'f' * 64}.zip", "sha256": "f" * 64}
    text = base64.b64decode(encode(manifest(ROUTER, **stored, wheelhouse=wheelhouse, model=packed_model(tmp_path))))
    assert len(text) < USER_DATA_LIMIT_BYTES / 2


def test_the_bootstrap_checks_before_it_unpacks_and_unpacks_before_it_runs() -> None:
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
