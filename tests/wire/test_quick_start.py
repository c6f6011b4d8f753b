"""Examples of docs/service.md, run as they stand against a real fleet: what they show is what comes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.operations.access_keys import AccessKeys, save_key
from infra.operations.outputs import read_outputs
from tests.infra.operations.test_outputs import VALUES
from tests.pages import FENCE, section
from tests.wire.service_fleet import PROJECT, aws_environment, new_fleet

Connect = Callable[[str], Any]
# What no page can know.
SCORE = re.compile(r"-?\d\.\d\d")
VARYING = ("position", "request_id", "score", "content_hash", "id")


@pytest.fixture
def folder(connect: Connect, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project's folder with the state of a rehearsal, whose fleet wants a key."""
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    fleet = new_fleet(connect, emulator, tmp_path / "fleet", shards=2)
    fleet.access_keys = f"/vectorfleet-keys/{fleet.name}"
    outputs = tmp_path / ".rehearsal" / "outputs.json"
    outputs.parent.mkdir()
    values = VALUES | {"access_keys": fleet.access_keys}
    outputs.write_text(json.dumps(values))
    key = save_key(outputs, AccessKeys(read_outputs(outputs)).create("rehearsal", "admin"))
    monkeypatch.setenv("VECTORFLEET_KEY", key.read_text().strip())
    try:
        fleet.boot(replicas=1)
        outputs.write_text(json.dumps(values | {"endpoint": fleet.routers[0].url}))
        yield tmp_path
    finally:
        fleet.stop()


def test_what_is_shown_is_what_comes(folder: Path) -> None:
    blocks = FENCE.findall(section("docs/service.md", "Quick start"))
    blocks += FENCE.findall(section("docs/service.md", "Collections"))
    assert [language for language, _ in blocks].count("bash") == 6
    printed = _printed(blocks, folder)
    for (language, shown), output in zip(blocks[1:], printed, strict=False):
        if language == "json":
            assert _plain(output) == _plain(shown)
        elif language == "text":
            assert SCORE.sub("0.00", output) == SCORE.sub("0.00", shown)


def _printed(blocks: list[tuple[str, str]], folder: Path) -> list[str]:
    """What each block printed, run one after the other in one shell; nothing for those that show output."""
    script = ["set -euo pipefail"]
    for number, (language, body) in enumerate(blocks):
        if language == "python":
            (folder / f"block-{number}.py").write_text(body)
            body = f"{sys.executable} block-{number}.py"
        script += [body if language in ("bash", "python") else "", "printf '\\x1e'"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    environment.pop("VECTORFLEET_KEY", None)
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split("\x1e")[:-1]


def _plain(text: str) -> list[Any]:
    """The JSON values that stand one after the other in a text, with what varies left out."""
    values, place = [], 0
    while rest := text[place:].lstrip():
        value, length = json.JSONDecoder(object_hook=_without_varying).raw_decode(rest)
        values.append(value)
        place = len(text) - len(rest) + length
    return values


def _without_varying(members: dict[str, Any]) -> dict[str, Any]:
    return {name: "varies" if name in VARYING else value for name, value in members.items()}
