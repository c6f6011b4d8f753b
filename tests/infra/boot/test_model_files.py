"""Packed models: the files that the service reads, under a version that they decide."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.boot.model_files import FILES, ModelFilesError, pack, packed, version_of
from infra.configuration.settings_sections import MODEL_VERSION_DIGITS
from service.embedding import model_folder
from tests.service.tiny_onnx import folder


def test_the_service_makes_the_same_version_of_the_files(tmp_path: Path) -> None:
    assert (FILES, MODEL_VERSION_DIGITS) == (model_folder.FILES, model_folder.VERSION_DIGITS)
    source = folder(tmp_path, files={"1_Pooling/config.json": {"pooling_mode_mean_tokens": True}})
    assert version_of(source) == model_folder.ModelFolder(source).digest[: model_folder.VERSION_DIGITS]


def test_the_zip_has_the_deciding_files_alone(tmp_path: Path) -> None:
    source = folder(tmp_path / "source", files={"1_Pooling/config.json": {"pooling_mode_mean_tokens": True}})
    (source / "pytorch_model.bin").write_bytes(b"the same again")
    assert packed(tmp_path, version_of(source)) is None
    made = pack(source, tmp_path)
    assert packed(tmp_path, version_of(source)) == made
    assert made.key == f"model/{made.sha256}.zip"
    with zipfile.ZipFile(made.path) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert sorted(archive.namelist()) == [
        "1_Pooling/config.json",
        "model.onnx",
        "sentence_bert_config.json",
        "tokenizer.json",
    ]
    assert version_of(tmp_path / "unpacked") == made.version == version_of(source)


def test_only_contents_decide_bytes_and_version(tmp_path: Path) -> None:
    first = pack(folder(tmp_path / "a"), tmp_path)
    bytes_before = first.path.read_bytes()
    os.utime(folder(tmp_path / "b") / "model.onnx", (1e9, 1e9))
    (tmp_path / "b/tokenizer.json").chmod(0o600)
    assert pack(tmp_path / "b", tmp_path).path.read_bytes() == bytes_before
    (tmp_path / "b/tokenizer.json").write_text("{}")
    assert pack(tmp_path / "b", tmp_path).version != first.version


def _nothing(path: Path) -> None:
    (path / "model.onnx").unlink()
    (path / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "missing"),
    [
        (lambda path: (path / "model.onnx").unlink(), "no model.onnx. Give the folder"),
        (lambda path: (path / "tokenizer.json").unlink(), "no tokenizer.json. Give the folder"),
        (_nothing, "no model.onnx and no tokenizer.json. Give the folder"),
    ],
)
def test_a_folder_without_a_model_is_refused(tmp_path: Path, spoil: Callable[[Path], None], missing: str) -> None:
    spoil(folder(tmp_path))
    with pytest.raises(ModelFilesError, match=missing):
        pack(tmp_path, tmp_path)
