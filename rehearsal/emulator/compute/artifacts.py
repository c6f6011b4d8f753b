"""Artifacts: fetched once for each digest, checked, unpacked, and shared read-only by all instances."""

from __future__ import annotations

import compileall
import hashlib
import io
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any, Protocol

from rehearsal.emulator.compute.userdata import Artifact


class ArtifactRejectedError(Exception):
    """The artifact can't be fetched, or differs from the manifest."""


class ObjectStore(Protocol):
    """The method of a boto3 S3 client that is used here."""

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]: ...  # noqa: N803


def _fetch(store: ObjectStore, artifact: Artifact) -> bytes:
    try:
        body: bytes = store.get_object(Bucket=artifact.bucket, Key=artifact.key)["Body"].read()
    except Exception as problem:
        raise ArtifactRejectedError(f"s3://{artifact.bucket}/{artifact.key} can't be fetched: {problem}") from problem
    found = hashlib.sha256(body).hexdigest()
    if found != artifact.sha256:
        raise ArtifactRejectedError(
            f"s3://{artifact.bucket}/{artifact.key} has sha256 {found}, the manifest says {artifact.sha256}."
        )
    return body


def _check_names(archive: zipfile.ZipFile) -> None:
    for name in archive.namelist():
        if name.startswith("/") or ".." in Path(name).parts:
            raise ArtifactRejectedError(f"the artifact has a file {name!r}, which is outside of its folder.")


def _protect(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def discard(folder: Path) -> None:
    """Delete a folder even if it is read-only; do nothing if it is missing."""
    for path in [folder, *folder.rglob("*")] if folder.exists() else []:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


def unpacked(store: ObjectStore, artifact: Artifact, cache: Path) -> Path:
    """Return the folder of the artifact's files, unpacked at the first call for its digest.

    Raises ArtifactRejectedError.
    """
    folder = cache / artifact.sha256
    if folder.exists():
        return folder
    body = _fetch(store, artifact)
    draft = cache / f".{artifact.sha256}.{os.getpid()}"
    discard(draft)
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            _check_names(archive)
            archive.extractall(draft)
    except zipfile.BadZipFile as problem:
        raise ArtifactRejectedError(f"s3://{artifact.bucket}/{artifact.key} is not a zip file: {problem}") from None
    # Instances can't cache bytecode in a read-only folder.
    compileall.compile_dir(draft, quiet=2, stripdir=str(draft), prependdir=str(folder))
    _protect(draft)
    draft.chmod(0o755)
    draft.replace(folder)
    folder.chmod(0o555)
    return folder
