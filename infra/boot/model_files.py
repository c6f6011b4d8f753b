"""
The files of an embedding model that indexer and routers run themselves, as one zip, and the verb that packs them.

Instances reach no model hub, so the files lie in S3. The service lists the same files and makes the same version of
them (`service/embedding/model_folder.py`); a test compares the two.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click

from infra import PROJECT_ROOT
from infra.boot import archive
from infra.configuration.settings_sections import MODEL_VERSION_DIGITS
from vectorfleet.refusal import refusing

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


class ModelFilesError(Exception):
    """The files cannot be packed; the message names the missing ones."""


@dataclass(frozen=True)
class ModelFiles:
    """A packed model; the configuration names its version."""

    path: Path
    version: str

    @cached_property
    def sha256(self) -> str:
        """Return the hex digest of the zip."""
        return archive.sha256_of(self.path)

    @property
    def key(self) -> str:
        """Return the object's key in the artifacts bucket."""
        return f"model/{self.sha256}.zip"


def pack(source: Path, root: Path) -> ModelFiles:
    """Pack the model of a folder into `dist/`. The same files give the same bytes. Raises ModelFilesError."""
    there = _files(source)
    missing = [kind for kind, names in (("model.onnx", MODELS), (TOKENIZER, (TOKENIZER,))) if not {*names} & {*there}]
    if missing:
        raise ModelFilesError(
            f"{source} has no {' and no '.join(missing)}. Give the folder of a model that sentence-transformers has "
            "exported to ONNX."
        )
    made = ModelFiles(_path(root, version_of(source)), version_of(source))
    made.path.parent.mkdir(exist_ok=True)
    draft = made.path.with_suffix(".draft")
    with zipfile.ZipFile(draft, "w") as file:
        for name in there:
            archive.add(file, name, (source / name).read_bytes())
    draft.replace(made.path)
    return made


def packed(root: Path, version: str) -> ModelFiles | None:
    """Return the model of that version in `dist/`, or None if it was not packed here."""
    path = _path(root, version)
    return ModelFiles(path, version) if path.is_file() else None


def version_of(source: Path) -> str:
    """Return the first digits of the sha256 of the lines that `sha256sum` prints for the present FILES, in order."""
    lines = "".join(f"{archive.sha256_of(source / name)}  {name}\n" for name in _files(source))
    return hashlib.sha256(lines.encode()).hexdigest()[:MODEL_VERSION_DIGITS]


def _files(source: Path) -> list[str]:
    return [name for name in FILES if (source / name).is_file()]


def _path(root: Path, version: str) -> Path:
    return root / archive.FOLDER / f"model-{version}.zip"


@click.command("model")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def model_command(folder: Path) -> None:
    """
    Pack an embedding model's FOLDER for instances, as one zip in dist/.

    FOLDER holds model.onnx and tokenizer.json, as sentence-transformers exports them. The zip is
    dist/model-<version>.zip, and its files decide the version.
    """
    with refusing(ModelFilesError):
        made = pack(folder, PROJECT_ROOT)
    click.echo(f"{made.path}: {made.path.stat().st_size / 1e6:,.0f} MB; set embedding.version to {made.version}")
