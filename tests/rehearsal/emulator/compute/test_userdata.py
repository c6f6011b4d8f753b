"""The role manifest in user data."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.emulator.compute.userdata import NotUnderstoodError, decode, parse

ROLE: dict[str, Any] = {
    "artifact": {"bucket": "b", "key": "service/1.zip", "sha256": "1"},
    "argv": ["python", "-m", "vectorfleet", "node"],
    "environment": {"VECTORFLEET_ROLE": "node", "VECTORFLEET_SHARD": "1", "VECTORFLEET_REPLICA": "b"},
}


def cloud_config(role: object, path: str = "/etc/vectorfleet/role.json") -> str:
    files = [{"path": path, "permissions": "0644", "content": json.dumps(role)}]
    return "#cloud-config\n" + json.dumps({"write_files": files, "runcmd": [["/bin/true"]]})


def test_the_manifest_is_found_and_named() -> None:
    manifest = parse(decode(base64.b64encode(cloud_config(ROLE).encode()).decode()))
    assert manifest.argv == ("python", "-m", "vectorfleet", "node")
    assert manifest.artifact.key == "service/1.zip"
    assert (manifest.role, manifest.label) == ("node", "node-1b")
    router = {**ROLE, "environment": {"VECTORFLEET_ROLE": "router"}}
    assert parse(cloud_config(router)).label == "router"


def test_wheels_in_the_manifest_are_ignored() -> None:
    wheelhouse = {"bucket": "b", "key": "wheelhouse/2.zip", "sha256": "2"}
    assert parse(cloud_config({**ROLE, "wheelhouse": wheelhouse})) == parse(cloud_config(ROLE))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#!/bin/sh\n", "first line must be #cloud-config"),
        ("#cloud-config\n{", "no valid role manifest"),
        ("#cloud-config\n{}", "does not write /etc/vectorfleet/role.json"),
        (cloud_config(ROLE, "/etc/other"), "does not write /etc/vectorfleet/role.json"),
        (cloud_config({}), "missing required field `artifact`"),
        (cloud_config({**ROLE, "argv": []}), "empty argv"),
        (cloud_config({**ROLE, "environment": {"A": 1}}), "Expected `str`"),
    ],
)
def test_invalid_user_data_is_refused_with_the_mistake(text: str, words: str) -> None:
    with pytest.raises(NotUnderstoodError, match=words):
        parse(text)


@given(st.text())
def test_no_text_ever_crashes_the_reader(text: str) -> None:
    for candidate in (text, "#cloud-config\n" + text, cloud_config(text)):
        with pytest.raises(NotUnderstoodError):
            parse(candidate)


def test_missing_or_broken_encoding_is_refused() -> None:
    for value in (None, "", "%%%", base64.b64encode(b"\xff").decode()):
        with pytest.raises(NotUnderstoodError):
            decode(value)
