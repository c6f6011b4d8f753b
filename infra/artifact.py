"""What instances run and its installer as deterministic zip bytes: the same sources give the same sha256 everywhere."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
INSTALLER = "infra/install.sh"  # bootstrap.sh runs it from here
INFRA_FILES = ("infra/__init__.py", INSTALLER, "infra/numbers.py", "infra/sizing.py", "infra/slo.py")
PACKAGES = ("service", "loadtests", "vectorfleet")
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip entry can carry
FILE_MODE = 0o100644 << 16


@dataclass(frozen=True)
class Artifact:
    """What every process of a fleet runs; its key is its content's digest."""

    content: bytes

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def key(self) -> str:
        """The object's key in the artifacts bucket."""
        return f"service/{self.sha256}.zip"


def sources(root: Path = PROJECT_ROOT) -> tuple[str, ...]:
    """Paths relative to the root of all that goes into the artifact, sorted."""
    packages = (path.relative_to(root).as_posix() for name in PACKAGES for path in (root / name).rglob("*.py"))
    return tuple(sorted((*packages, *INFRA_FILES)))


def build(root: Path = PROJECT_ROOT) -> Artifact:
    """Pack the sources: fixed order, times and modes, so that only content changes the digest."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sources(root):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = FILE_MODE
            entry.create_system = 3
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (root / name).read_bytes())
    return Artifact(buffer.getvalue())
