"""The artifact: its bytes depend on the sources alone."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

import pytest

from infra import PROJECT_ROOT
from infra.boot.artifact import INFRA_FILES, build, sources


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a small project: two modules of the service and the carried ones of infra."""
    for name in ("service/__init__.py", "service/node/api.py", "service/readme.txt", *INFRA_FILES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n")
    return tmp_path


def names(content: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(content)).namelist()


def test_the_artifact_has_service_installer_and_pure_modules(project: Path) -> None:
    assert names(build(project).content) == [
        "infra/__init__.py",
        "infra/boot/install.sh",
        "infra/facts/__init__.py",
        "infra/facts/index_parameters.py",
        "infra/facts/slo.py",
        "infra/planning/__init__.py",
        "infra/planning/memory.py",
        "service/__init__.py",
        "service/node/api.py",
    ]


def test_times_and_modes_of_files_do_not_change_it(project: Path) -> None:
    before = build(project)
    for path in project.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    assert build(project).content == before.content


def test_a_changed_source_changes_digest_and_key(project: Path) -> None:
    before = build(project)
    (project / "service/node/api.py").write_text("# changed\n")
    after = build(project)
    assert before.sha256 != after.sha256
    assert after.key == f"service/{hashlib.sha256(after.content).hexdigest()}.zip"


def test_carried_modules_of_infra_import_only_carried_ones(tmp_path: Path) -> None:
    modules = [name for name in INFRA_FILES if name.endswith(".py")]
    carried = {name.removesuffix(".py").replace("/", ".") for name in modules}
    for name in modules:
        for line in (PROJECT_ROOT / name).read_text().splitlines():
            if line.startswith(("from infra", "import infra")):
                assert line.split()[1] in carried


def test_the_real_artifact_fits_an_inline_object() -> None:
    assert sources()[0] == "infra/__init__.py"
    assert len(build().content) < 1_000_000
