"""The wheelhouse: reuse while it fits the locks, and refusals before a build starts."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
from pathlib import Path

import pytest

from infra.boot import wheelhouse
from infra.boot.lock import Pin
from infra.boot.wheelhouse import (
    Wheelhouse,
    WheelhouseError,
    build,
    built,
    check_machine,
    inputs_digest,
    installed_by,
)

PROJECT = """[project]
dependencies = ["alpha>=1"]
[project.optional-dependencies]
service = ["Beta_Two[fast]==2.0"]
onnx = []
traces = ["alpha"]
loadtests = ["gamma"]
"""
HASH = f"--hash=sha256:{'a' * 64}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a small project with both locks and a wheelhouse in dist/."""
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "requirements.lock").write_text(
        f"alpha==1.0 \\\n    {HASH}\nbeta-two==2.0 \\\n    {HASH}\ngamma==3.0 \\\n    {HASH}\n"
    )
    (tmp_path / "requirements-build.lock").write_text(f"pip==1.0 \\\n    {HASH}\n")
    (tmp_path / "dist").mkdir()
    content = b"wheels"
    digest = hashlib.sha256(content).hexdigest()
    path = tmp_path / f"dist/wheelhouse-{digest}.zip"
    path.write_bytes(content)
    made = Wheelhouse(path, digest, len(content), ("alpha-1.0-py3-none-any.whl",), inputs_digest(tmp_path))
    (tmp_path / "dist/wheelhouse.json").write_text(json.dumps(made.to_json()))
    return tmp_path


def test_it_is_found_under_the_name_of_its_content(project: Path) -> None:
    found = built(project)
    assert found is not None
    assert found.key == f"wheelhouse/{hashlib.sha256(found.path.read_bytes()).hexdigest()}.zip"
    assert (found.size_bytes, found.level) == (6, "x86-64-v3")


def test_nothing_was_built_yet(tmp_path: Path) -> None:
    assert built(tmp_path) is None


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_other_locks_make_it_stale(project: Path, lock: str) -> None:
    (project / lock).write_text((project / lock).read_text().replace("==1.0", "==1.1"))
    with pytest.raises(WheelhouseError, match=r"built from other versions.*; run make artifact"):
        built(project)


def test_a_package_of_another_group_does_not(project: Path) -> None:
    with (project / "requirements.lock").open("a") as lock:
        lock.write(f"zeta==1.0 \\\n    {HASH}\n    # via project (pyproject.toml)\n")
    assert built(project) is not None


def test_a_damaged_zip_is_never_uploaded(project: Path) -> None:
    (path,) = (project / "dist").glob("*.zip")
    path.write_bytes(b"wheelz")
    with pytest.raises(WheelhouseError, match=r"missing or damaged; run make artifact"):
        built(project)
    path.unlink()
    with pytest.raises(WheelhouseError, match="is missing"):
        built(project)


def test_what_fits_is_not_built_again(project: Path) -> None:
    said: list[str] = []
    assert build(project, said.append) == built(project)
    assert said == [f"{next((project / 'dist').glob('*.zip'))} is up to date"]


def test_a_stale_one_is_built_anew(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    (project / "requirements-build.lock").write_text("")
    with pytest.raises(WheelhouseError, match="is Linux arm64, and the wheels must be compiled on Linux x86_64"):
        build(project, print)


@pytest.mark.parametrize(
    ("target", "name", "value", "words"),
    [
        (platform, "system", lambda: "Darwin", "is Darwin x86_64, and the wheels must"),
        (sys, "version_info", (3, 12, 1), r"runs on Python 3\.11.*make artifact PYTHON="),
        (shutil, "which", lambda _: None, r"c\+\+ is not installed"),
    ],
)
def test_a_machine_that_cannot_build_wheels_is_refused(
    monkeypatch: pytest.MonkeyPatch, target: object, name: str, value: object, words: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "version_info", (3, 11, 9))
    monkeypatch.setattr(target, name, value)
    with pytest.raises(WheelhouseError, match=words):
        check_machine()


def test_a_command_that_fails_shows_the_end_of_what_it_said() -> None:
    with pytest.raises(WheelhouseError, match=r"… failed:\nthe reason$"):
        wheelhouse._run([sys.executable, "-c", "import sys; sys.exit('the reason')"])


def test_a_wheel_is_installed_at_its_locked_version_and_own_hash(tmp_path: Path) -> None:
    wheel = tmp_path / "Beta_Two-2.0-py3-none-any.whl"
    wheel.write_bytes(b"beta")
    line = installed_by(wheel, {"beta-two": Pin("beta-two", "2.0", (), frozenset())})
    assert line == f"beta-two==2.0 --hash=sha256:{hashlib.sha256(b'beta').hexdigest()}\n"


def test_no_platform_is_newer_than_the_images() -> None:
    assert wheelhouse.PLATFORMS[0] == "manylinux_2_34_x86_64"
    assert "manylinux_2_35_x86_64" not in wheelhouse.PLATFORMS
