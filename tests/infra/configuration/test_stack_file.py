"""Stack files, as the Pulumi CLI passes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.configuration.stack_file import own_values, project_name, stack_config, stack_names
from infra.configuration.stack_settings import ConfigError, settings_from


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


def test_an_unknown_stack_is_refused_with_the_known_ones(root: Path) -> None:
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


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("config: [", r"Pulumi\.dev\.yaml is not valid YAML: .*line"),
        ("config: 5\n", r"Pulumi\.dev\.yaml has no map under `config:`"),
        ("- config\n", r"Pulumi\.dev\.yaml has no map under `config:`"),
        ("config:\n  5: x\n", r"Pulumi\.dev\.yaml has the key 5; .*Rename it"),
        ("config:\n  a:b: {since: 2024-01-01}\n", r"key a:b in Pulumi\.dev\.yaml is not valid JSON: .*in quotes"),
        ("config:\n  a:b: &a [*a]\n", r"key a:b in Pulumi\.dev\.yaml is not valid JSON"),
        ("config:\n  a:b: " + "[" * 5000, "Pulumi.dev.yaml is nested too deeply"),
        ("config:\n  a:b: " + "9" * 5000, "Pulumi.dev.yaml is not valid YAML"),
    ],
    ids=["broken", "number", "list", "integer-key", "date", "endless", "deep", "digits"],
)
def test_an_unreadable_file_is_refused_by_its_name(root: Path, content: str, sentence: str) -> None:
    (root / "Pulumi.dev.yaml").write_text(content)
    with pytest.raises(ConfigError, match=sentence):
        stack_config("dev", root)


def test_binary_files_and_folders_are_refused(root: Path) -> None:
    (root / "Pulumi.dev.yaml").write_bytes(b"config: \xff\xfe")
    with pytest.raises(ConfigError, match=r"Pulumi\.dev\.yaml is not valid YAML"):
        stack_config("dev", root)
    (root / "Pulumi.folder.yaml").mkdir()
    with pytest.raises(ConfigError, match="There is no stack 'folder'"):
        stack_config("folder", root)


@pytest.mark.parametrize("content", ["", "config:\n", "encryptionsalt: x\n"])
def test_a_file_without_values_has_none(root: Path, content: str) -> None:
    (root / "Pulumi.dev.yaml").write_text(content)
    assert stack_config("dev", root) == {}


@pytest.mark.parametrize("name", ["", "s" * 101, "a/b", "../x", "a b", "a\0b"])
def test_an_invalid_stack_name_is_refused(root: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a stack name; allowed: 1 to 100 letters.*The stacks here are dev\."):
        stack_config(name, root)
