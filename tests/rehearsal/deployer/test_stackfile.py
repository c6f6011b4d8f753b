"""Stack files, read as the CLI reads them, with endpoints on this machine only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rehearsal.deployer.errors import DeployError, RefusedError, UnsupportedError
from rehearsal.deployer.stackfile import Stack, check_loopback, read_stack

HERE = "http://127.0.0.1:4599"


def stack(folder: Path, project: dict[str, Any] | None = None, **config: Any) -> Stack:
    """Read a stack with one loopback endpoint and the given settings ("aws_x" stands for "aws:x")."""
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "fleet", **(project or {})}))
    defaults = {"aws:region": "us-east-1", "aws:endpoints": [{"s3": "http://127.0.0.1:4566"}]}
    values = defaults | {key.replace("aws_", "aws:"): value for key, value in config.items()}
    (folder / "Pulumi.test.yaml").write_text(yaml.safe_dump({"config": values}))
    return read_stack(folder, "test", HERE)


def test_values_become_text_and_structures_json(tmp_path: Path) -> None:
    config = stack(tmp_path, count=3, ratio=0.5, on=True, zones=["a", "b"], name="x").config
    assert [config[f"fleet:{key}"] for key in ("count", "ratio", "on", "zones", "name")] == [
        "3",
        "0.5",
        "true",
        '["a","b"]',
        "x",
    ]


def test_every_endpoint_moves_to_the_given_one(tmp_path: Path) -> None:
    config = stack(tmp_path).config
    assert json.loads(config["aws:endpoints"]) == [{"s3": HERE}]


def test_a_stack_overrides_defaults_of_the_project(tmp_path: Path) -> None:
    declared = {"config": {"size": {"type": "integer", "default": 1}, "aws:maxRetries": {"value": 2}, "kind": "x"}}
    config = stack(tmp_path, declared, kind="y").config
    assert [config[key] for key in ("fleet:size", "aws:maxRetries", "fleet:kind")] == ["1", "2", "y"]


@pytest.mark.parametrize(
    "address",
    [
        "https://127.0.0.1:4566",
        "http://10.0.0.1:4566",
        "http://169.254.169.254:80",
        "http://ec2.us-east-1.amazonaws.com:80",
        "http://127.0.0.1",
        "http://127.0.0.1:99999",
        "nonsense",
    ],
)
def test_an_endpoint_elsewhere_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(RefusedError, match="not on this machine"):
        check_loopback(address)
    with pytest.raises(RefusedError, match="not on this machine"):
        stack(tmp_path, aws_endpoints=[{"s3": address}])


def test_a_stack_without_endpoints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="real account"):
        stack(tmp_path, aws_endpoints=[])


def test_unsupported_configuration_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="aws:assumeRoles"):
        stack(tmp_path, aws_assumeRoles=[{"roleArn": "x"}])
    with pytest.raises(UnsupportedError, match="'token' is encrypted"):
        stack(tmp_path, token={"secure": "v1:x"})


def test_an_unknown_stack_lists_the_known_ones(tmp_path: Path) -> None:
    stack(tmp_path)
    with pytest.raises(DeployError, match=r"the stack 'prod' does not exist.*the stacks are: test"):
        read_stack(tmp_path, "prod", HERE)
