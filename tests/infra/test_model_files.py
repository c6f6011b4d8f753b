"""A model is packed as the service reads it, under a version that its files decide."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from infra import model_files
from infra.model_files import FILES, ModelFilesError, pack, packed, version_of
from service.embedding import export
from tests.service.tiny_onnx import folder


def test_the_service_reads_the_same_files_and_makes_the_same_version_of_them(tmp_path: Path) -> None:
    assert (FILES, model_files.VERSION_DIGITS) == (export.FILES, export.VERSION_DIGITS)
    source = folder(tmp_path, files={"1_Pooling/config.json": {"pooling_mode_mean_tokens": True}})
    assert version_of(source) == export.Export(source).digest[: export.VERSION_DIGITS]


def test_it_holds_what_decides_vectors_and_is_found_by_its_version(tmp_path: Path) -> None:
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


def test_the_same_files_give_the_same_bytes_and_others_another_version(tmp_path: Path) -> None:
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
        (lambda path: (path / "model.onnx").unlink(), "no model.onnx; give the folder"),
        (lambda path: (path / "tokenizer.json").unlink(), "no tokenizer.json; give the folder"),
        (_nothing, "no model.onnx and no tokenizer.json; give the folder"),
    ],
)
def test_a_folder_without_a_model_is_refused(tmp_path: Path, spoil: Callable[[Path], None], missing: str) -> None:
    spoil(folder(tmp_path))
    with pytest.raises(ModelFilesError, match=missing):
        pack(tmp_path, tmp_path)
