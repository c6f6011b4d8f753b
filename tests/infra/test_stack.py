"""Stack files as the Pulumi CLI hands them over."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.config import ConfigError, settings_from
from infra.stack import own_values, project_name, stack_config, stack_names


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one stack."""
    (tmp_path / "Pulumi.yaml").write_text("name: vectorfleet\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(
        "config:\n"
        "  aws:region: eu-west-1\n"
        "  vectorfleet:vectors: 5\n"
        "  vectorfleet:internal: false\n"
        "  vectorfleet:weights: {blue: 1, green: 2}\n"
    )
    return tmp_path


def test_every_value_is_a_string(root: Path) -> None:
    assert stack_config("dev", root) == {
        "aws:region": "eu-west-1",
        "vectorfleet:vectors": "5",
        "vectorfleet:internal": "false",
        "vectorfleet:weights": '{"blue": 1, "green": 2}',
    }


def test_the_programs_own_values_lose_their_namespace(root: Path) -> None:
    assert own_values(stack_config("dev", root)).keys() == {"vectors", "internal", "weights"}


def test_an_unknown_stack_names_those_there_are(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no stack 'prod'; allowed: dev\. Write Pulumi\.prod\.yaml"):
        stack_config("prod", root)


def test_an_encrypted_value_is_refused(root: Path) -> None:
    (root / "Pulumi.dev.yaml").write_text("config:\n  vectorfleet:key:\n    secure: AAAB\n")
    with pytest.raises(ConfigError, match="encrypted"):
        stack_config("dev", root)


def test_the_rehearsals_configuration_is_valid() -> None:
    assert project_name() == "vectorfleet"
    assert "rehearsal" in stack_names()
    settings = settings_from(own_values(stack_config("rehearsal")))
    assert (settings.vectors, settings.dims, settings.vpc_cidr) == (60_000, 256, "127.64.0.0/16")
    assert not settings.data_protection
