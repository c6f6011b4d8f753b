"""The artifact: the code of every process and its installer, as a zip that is named by its content."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from infra import PROJECT_ROOT
from infra.boot import archive

INSTALLER = "infra/boot/install.sh"  # bootstrap.sh runs it from here
INFRA_FILES = (
    "infra/__init__.py",
    INSTALLER,
    "infra/facts/__init__.py",
    "infra/facts/index_parameters.py",
    "infra/facts/slo.py",
    "infra/planning/__init__.py",
    "infra/planning/memory.py",
)
PACKAGES = ("service", "loadtests", "vectorfleet")


@dataclass(frozen=True)
class Artifact:
    content: bytes

    @cached_property
    def sha256(self) -> str:
        """Return the hex digest of the content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def key(self) -> str:
        """Return the object's key in the artifacts bucket."""
        return f"service/{self.sha256}.zip"


def sources(root: Path = PROJECT_ROOT) -> tuple[str, ...]:
    """Return the sorted paths, relative to the root, of all files in the artifact."""
    packages = (path.relative_to(root).as_posix() for name in PACKAGES for path in (root / name).rglob("*.py"))
    return tuple(sorted((*packages, *INFRA_FILES)))


def build(root: Path = PROJECT_ROOT) -> Artifact:
    """Pack the sources. The same sources give the same sha256 on every machine."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sources(root):
            archive.add(file, name, (root / name).read_bytes())
    return Artifact(buffer.getvalue())
