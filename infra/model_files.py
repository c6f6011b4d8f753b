"""
The files of an embedding model that indexer and routers run themselves, as one zip named by what is in it.

Instances reach no model hub, so that the files lie in S3 beside what processes run. Which files decide a model's
vectors, and how they make its version, the service says too (`service/embedding/export.py`); a test holds the two
together.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = "dist"
MODELS = ("model.onnx", "onnx/model.onnx")
TOKENIZER = "tokenizer.json"
FILES = (
    *MODELS,
    TOKENIZER,
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    "config_sentence_transformers.json",
    "modules.json",
)
VERSION_DIGITS = 12
VERSION = rf"[0-9a-f]{{{VERSION_DIGITS}}}"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip entry can carry
FILE_MODE = 0o100644 << 16


class ModelFilesError(Exception):
    """The files can't be packed or used; the message says why and what to do."""


@dataclass(frozen=True)
class ModelFiles:
    """A packed model, whose version stands in the configuration."""

    path: Path
    version: str

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the zip."""
        return _sha256(self.path)

    @property
    def key(self) -> str:
        """The object's key in the artifacts bucket."""
        return f"model/{self.sha256}.zip"


def pack(source: Path, root: Path) -> ModelFiles:
    """The model of a folder as a zip in `dist/`: the same files give the same bytes. Raises ModelFilesError."""
    there = [name for name in FILES if (source / name).is_file()]
    missing = [kind for kind, names in (("model.onnx", MODELS), (TOKENIZER, (TOKENIZER,))) if not {*names} & {*there}]
    if missing:
        raise ModelFilesError(
            f"{source} has no {' and no '.join(missing)}; give the folder of a model as sentence-transformers exports "
            "it to ONNX."
        )
    made = ModelFiles(_path(root, version_of(source)), version_of(source))
    made.path.parent.mkdir(exist_ok=True)
    draft = made.path.with_suffix(".draft")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for name in there:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = FILE_MODE
            entry.create_system = 3
            archive.writestr(entry, (source / name).read_bytes())
    draft.replace(made.path)
    return made


def packed(root: Path, version: str) -> ModelFiles | None:
    """The model of that version in `dist/`, or None where it was not packed here."""
    path = _path(root, version)
    return ModelFiles(path, version) if path.is_file() else None


def version_of(source: Path) -> str:
    """The first digits of the sha256 of what `sha256sum` prints for those of FILES that are there, in that order."""
    there = (name for name in FILES if (source / name).is_file())
    lines = "".join(f"{_sha256(source / name)}  {name}\n" for name in there)
    return hashlib.sha256(lines.encode()).hexdigest()[:VERSION_DIGITS]


def _path(root: Path, version: str) -> Path:
    return root / FOLDER / f"model-{version}.zip"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
