"""Examples of docs/service.md and docs/collections.md, run as they stand against a real fleet."""

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

from infra.operations.access_keys import AccessKeys
from infra.stack.outputs import read_stack
from tests.pages import FENCE, section
from tests.stack_outputs import VALUES
from tests.wire.service_fleet import PROJECT, aws_environment, new_fleet
from vectorfleet.api_key import save_key

Connect = Callable[[str], Any]
# Values that differ on each run.
SCORE = re.compile(r"-?\d\.\d\d")
VARYING = ("position", "request_id", "score", "content_hash", "id")


@pytest.fixture
def folder(connect: Connect, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a project folder with the state of a rehearsal whose fleet requires a key."""
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    fleet = new_fleet(connect, emulator, tmp_path / "fleet", shards=2)
    fleet.access_keys = f"/vectorfleet-keys/{fleet.name}"
    outputs = tmp_path / ".rehearsal" / "outputs.json"
    outputs.parent.mkdir()
    values = VALUES | {"access_keys": fleet.access_keys}
    outputs.write_text(json.dumps(values))
    key = save_key(outputs, AccessKeys(read_stack(outputs)).create("rehearsal", "admin"))
    monkeypatch.setenv("VECTORFLEET_KEY", key.read_text().strip())
    try:
        fleet.boot(replicas=1)
        outputs.write_text(json.dumps(values | {"endpoint": fleet.routers[0].url}))
        yield tmp_path
    finally:
        fleet.stop()


def test_examples_print_what_the_pages_show(folder: Path) -> None:
    blocks = FENCE.findall(section("docs/service.md", "Quick start"))
    blocks += FENCE.findall(section("docs/collections.md", "Example"))
    assert [language for language, _ in blocks].count("bash") == 6
    printed = _printed(blocks, folder)
    for (language, shown), output in zip(blocks[1:], printed, strict=False):
        if language == "json":
            assert _plain(output) == _plain(shown)
        elif language == "text":
            assert SCORE.sub("0.00", output) == SCORE.sub("0.00", shown)


def _printed(blocks: list[tuple[str, str]], folder: Path) -> list[str]:
    """Run the blocks in one shell and return the output of each; blocks that show output have none."""
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
    """Return the JSON values of a text in order, with varying members replaced."""
    values, place = [], 0
    while rest := text[place:].lstrip():
        value, length = json.JSONDecoder(object_hook=_without_varying).raw_decode(rest)
        values.append(value)
        place = len(text) - len(rest) + length
    return values


def _without_varying(members: dict[str, Any]) -> dict[str, Any]:
    return {name: "varies" if name in VARYING else value for name, value in members.items()}
