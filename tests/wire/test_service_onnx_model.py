"""A fleet that embeds with a model from a folder on its machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.client import ServiceError
from service.embedding.model_folder import VERSION_DIGITS, ModelFolder
from tests.service.tiny_onnx import DIMS, folder, onnx
from tests.wire.service_fleet import eventually, get, new_fleet

Connect = Callable[[str], Any]


def test_the_folders_model_embeds_chunks_and_questions(
    connect: Connect, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = folder(tmp_path / "model")
    monkeypatch.setenv("VECTORFLEET_MODEL_FOLDER", str(model))
    fleet = new_fleet(connect, emulator, tmp_path / "fleet", shards=1)
    version = ModelFolder(model).digest[:VERSION_DIGITS]
    fleet.embedding = {"provider": "onnx", "model": "tiny", "version": version, "dims": DIMS}
    try:
        fleet.boot(replicas=1)
        client = fleet.client()
        colours = ("red", "green", "blue")
        written = client.write([{"source_id": name, "title": name, "text": f"{name} {name}"} for name in colours])
        for name in colours:
            found = client.search(text=name, k=1, min_position=written["position"])
            assert [hit["source_id"] for hit in found["hits"]] == [name]
        with pytest.raises(ServiceError, match="no token that the model knows"):
            client.search(text="pink", k=1)
        (model / "model.onnx").write_bytes(onnx(table=[[1.0] * DIMS] * 7))
        (router,) = fleet.routers
        router.end()
        router.start()
        wanted = f"version {version} is configured, the model's files have"
        eventually(lambda: wanted in get(f"{router.url}/readyz")[2].decode(), "the router says that it has other files")
    finally:
        fleet.stop()
