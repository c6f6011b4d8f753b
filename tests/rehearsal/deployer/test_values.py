"""Values of the Pulumi runtime: unknowns, secrets and assets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rehearsal.deployer.errors import DeployError, UnsupportedError
from rehearsal.deployer.resources.autoscaling import seconds_of
from rehearsal.deployer.values import ASSET, SECRET, SIGNATURE, UNKNOWN, asset_bytes, plain, struct


def test_values_arrive_as_the_engine_sees_them() -> None:
    sent = {"count": 4, "ratio": 0.5, "on": True, "none": None, "nested": {"list": [1, {"x": None, "y": "z"}]}}
    assert plain(struct(sent)) == {"count": 4, "ratio": 0.5, "on": True, "nested": {"list": [1, {"y": "z"}]}}


@pytest.mark.parametrize(
    ("sent", "path"),
    [({"a": UNKNOWN}, "a"), ({"a": {"b": UNKNOWN}}, "a.b"), ({"a": [{"b": ["x", UNKNOWN]}]}, r"a\[0\].b\[1\]")],
)
def test_an_unknown_anywhere_is_refused_with_its_path(sent: dict[str, Any], path: str) -> None:
    with pytest.raises(DeployError, match=f"property {path} is not known"):
        plain(struct(sent))


def test_a_preview_keeps_unknown_values() -> None:
    assert plain(struct({"a": UNKNOWN}), keep_unknown=True) == {"a": UNKNOWN}


def test_a_secret_is_refused_unless_the_sdk_always_marks_it() -> None:
    sent = struct({"value": {SIGNATURE: SECRET, "value": "x"}})
    with pytest.raises(UnsupportedError, match="property value is a secret"):
        plain(sent)
    assert plain(sent, veiled=frozenset({"value"})) == {"value": "x"}


def test_a_file_is_its_content(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    sent = struct({"source": {SIGNATURE: ASSET, "path": str(file)}})
    asset = plain(sent)["source"]
    assert asset_bytes(asset) == b"one"
    file.write_bytes(b"two")
    with pytest.raises(DeployError, match="changed while it was deployed"):
        asset_bytes(asset)
    file.unlink()
    with pytest.raises(DeployError, match="cannot be read"):
        plain(sent)


def test_a_text_asset_carries_its_content() -> None:
    asset = plain(struct({"source": {SIGNATURE: ASSET, "text": "hello"}}))["source"]
    assert asset_bytes(asset) == b"hello"


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("25m", 1500), ("1500s", 1500), ("1h30m", 5400), ("1.5h", 5400), ("250ms", 0.25), ("0", 0)],
)
def test_durations_are_read_as_go_writes_them(duration: str, seconds: float) -> None:
    assert seconds_of(duration) == seconds


def test_an_invalid_duration_is_refused() -> None:
    with pytest.raises(DeployError, match="'25 minutes' is not a duration; write it like 10m"):
        seconds_of("25 minutes")
