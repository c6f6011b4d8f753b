"""
The wheelhouse: the wheels that instances install, as one zip named by its content, and the verb that builds it.

Instances reach no package index, so S3 holds all wheels at the locked versions. hnswlib is compiled for x86-64-v3, a
level that every machine of the catalog has, and never for the machine that builds.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click

from infra import PROJECT_ROOT
from infra.boot import archive
from infra.boot.audit import GLIBC, LEVEL, AuditError, check_glibc, check_level, report
from infra.boot.lock import LockError, Pin, canonical, group, pins
from vectorfleet.output import print_json
from vectorfleet.refusal import refusing

PYTHON = (3, 11)  # Amazon Linux 2023 packages it; the system's own 3.9 is too old
COMPILED = "hnswlib"
# The lists of the wheelhouse, and the groups of the project's dependencies that each installs.
LISTS = {
    "service.txt": ("service", "traces"),
    "onnx.txt": ("service", "traces", "onnx"),
    "loadtests.txt": ("service", "loadtests"),
}
RECORD = "wheelhouse.json"
BUILD_LOCK = "requirements-build.lock"
EPOCH_SECONDS = "315532800"  # archive.EPOCH, for setuptools
# From Amazon Linux 2023's glibc down to 2.5, the oldest that a wheel for x86-64 may name.
PLATFORMS = (
    *(f"manylinux_{GLIBC[0]}_{minor}_x86_64" for minor in range(GLIBC[1], 4, -1)),
    *(f"manylinux{year}_x86_64" for year in ("2014", "2010", "1")),
)
COMPILER_FLAGS = f"-march={LEVEL} -g0"
COMPILER_ENVIRONMENT = {
    "HNSWLIB_NO_NATIVE": "1",
    # Without --as-needed the wheel requires libgomp, although it uses nothing of it.
    "LDFLAGS": "-Wl,--as-needed -Wl,-s",
    "SOURCE_DATE_EPOCH": EPOCH_SECONDS,
}

Say = Callable[[str], None]


class WheelhouseError(Exception):
    """The wheelhouse cannot be built or used; the message gives the reason and the remedy."""


@dataclass(frozen=True)
class Wheelhouse:
    """A built wheelhouse; `inputs` is the digest of its inputs."""

    path: Path
    sha256: str
    size_bytes: int
    wheels: tuple[str, ...]
    inputs: str
    level: str = LEVEL

    @property
    def key(self) -> str:
        """Return the object's key in the artifacts bucket."""
        return f"wheelhouse/{self.sha256}.zip"

    def to_json(self) -> dict[str, object]:
        """Return plain data: the record in `dist/`, whose path is the file's name."""
        return {
            "path": self.path.name,
            "sha256": self.sha256,
            "bytes": self.size_bytes,
            "wheels": list(self.wheels),
            "level": self.level,
            "inputs": self.inputs,
        }


def inputs_digest(root: Path) -> str:
    """Return the digest of all inputs of a build: pins, build tools and options. Raises LockError."""
    how = json.dumps([COMPILER_FLAGS, COMPILER_ENVIRONMENT, PLATFORMS, PYTHON, LEVEL], sort_keys=True)
    parts = [*(pin.requirement() for pin in wanted(root).values()), (root / BUILD_LOCK).read_text(), how]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def wanted(root: Path, *lists: str) -> dict[str, Pin]:
    """Return the pins of some lists, or of all if none is named. Raises LockError."""
    groups = sorted({name for one in lists or LISTS for name in LISTS[one]})
    return {name: pin for one in groups for name, pin in group(root, one).items()}


def built(root: Path) -> Wheelhouse | None:
    """
    Return the wheelhouse in `dist/`, or None if none was ever built.

    Raises WheelhouseError if it is damaged or was built from other locks, and LockError as `inputs_digest`.
    """
    record = root / archive.FOLDER / RECORD
    if not record.is_file():
        return None
    said = json.loads(record.read_text())
    path = record.with_name(said["path"])
    if said["inputs"] != inputs_digest(root):
        raise WheelhouseError(f"{path} was built from other versions than the lock files name now; run make artifact.")
    if not path.is_file() or archive.sha256_of(path) != said["sha256"]:
        raise WheelhouseError(f"{path} is missing or damaged; run make artifact.")
    return Wheelhouse(path, said["sha256"], said["bytes"], tuple(said["wheels"]), said["inputs"], said["level"])


def build(root: Path, say: Say) -> Wheelhouse:
    """
    Build the wheelhouse, or return the present one if it fits; `say` gets a line for each step.

    Raises one of REFUSALS.
    """
    # A build replaces a stale or damaged one.
    with suppress(WheelhouseError):
        if (there := built(root)) is not None:
            say(f"{there.path} is up to date")
            return there
    check_machine()
    with tempfile.TemporaryDirectory(prefix="wheelhouse-") as folder:
        return _build(root, Path(folder), say)


def check_machine() -> None:
    """Raise WheelhouseError if this machine cannot build wheels for Amazon Linux 2023."""
    here = f"{platform.system()} {platform.machine()}"
    if here != "Linux x86_64":
        raise WheelhouseError(
            f"This machine is {here}, and the wheels must be compiled on Linux x86_64; run make artifact there."
        )
    if sys.version_info[:2] != PYTHON:
        wanted = ".".join(map(str, PYTHON))
        raise WheelhouseError(
            f"The fleet runs on Python {wanted}, and .venv has {platform.python_version()}; "
            f"run make clean, then make artifact PYTHON=/path/to/python{wanted}."
        )
    for tool in ("c++", "objdump"):
        if shutil.which(tool) is None:
            raise WheelhouseError(f"{tool} is not installed; install a C++ compiler and binutils.")


def _build(root: Path, work: Path, say: Say) -> Wheelhouse:
    locked = wanted(root)
    wheels = work / "wheels"
    with _step(say, "build tools"):
        python = _build_environment(root, work, locked["numpy"])
    with _step(say, f"downloading {len(locked) - 1} packages"):
        _download(python, [pin for name, pin in locked.items() if name != COMPILED], wheels)
    with _step(say, f"compiling {COMPILED} for {LEVEL}"):
        _compile(python, locked[COMPILED], wheels)
    with _step(say, "checking glibc and instructions of every wheel"):
        _check(python, wheels)
    with _step(say, "packing"):
        return _pack(root, wheels)


@contextmanager
def _step(say: Say, what: str) -> Iterator[None]:
    started = time.monotonic()
    say(f"{what} …")
    yield
    say(f"{what}: {time.monotonic() - started:.0f} s")


def _run(command: Sequence[str | Path], extra: Mapping[str, str] | None = None) -> str:
    """Return the standard output of a command; raise WheelhouseError with the last lines of its output if it fails."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(extra or {})}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise WheelhouseError(f"{Path(command[0]).name} {' '.join(map(str, command[1:4]))} … failed:\n{said}")
    return done.stdout


def _requirements(path: Path, locked: Sequence[Pin]) -> Path:
    path.write_text("".join(f"{pin.requirement()}\n" for pin in locked))
    return path


def _build_environment(root: Path, work: Path, numpy: Pin) -> Path:
    """Return the Python of an environment with the pinned build tools, and with the service's numpy for its headers."""
    _run([sys.executable, "-m", "venv", work / "build"])
    python = work / "build/bin/python"
    listed = _requirements(work / "tools.txt", [*pins((root / BUILD_LOCK).read_text()).values(), numpy])
    _run([python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--require-hashes", "-r", listed])
    return python


def _download(python: Path, locked: Sequence[Pin], wheels: Path) -> None:
    """Download wheels for Amazon Linux 2023. --require-hashes also proves that the list is complete."""
    listed = _requirements(wheels.parent / "downloaded.txt", locked)
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    version = [".".join(map(str, PYTHON)), "--implementation", "cp", "--abi", "cp" + "".join(map(str, PYTHON))]
    kinds = ["--only-binary", ":all:", "--python-version", *version, *platforms]
    # The list lacks hnswlib, and no other package requires it.
    _run([python, "-m", "pip", "download", "--quiet", "--require-hashes", *kinds, "-r", listed, "-d", wheels])


def _compile(python: Path, pin: Pin, wheels: Path) -> None:
    listed = _requirements(wheels.parent / "compiled.txt", [pin])
    # Assertions contain the paths of headers, and the name of this folder differs each time.
    flags = f"{COMPILER_FLAGS} -ffile-prefix-map={wheels.parent}=."
    environment = {**COMPILER_ENVIRONMENT, "CFLAGS": flags, "CXXFLAGS": flags}
    # pip's cache may hold a wheel of the same name that was compiled for this machine.
    only_source = ["--no-binary", pin.name, "--no-cache-dir", "--no-build-isolation", "--no-deps", "--require-hashes"]
    _run([python, "-m", "pip", "wheel", "--quiet", *only_source, "-r", listed, "-w", wheels], environment)


def _check(python: Path, wheels: Path) -> None:
    native = [wheel for wheel in sorted(wheels.glob("*.whl")) if not wheel.name.endswith("-any.whl")]
    auditwheel = python.with_name("auditwheel")
    with ThreadPoolExecutor() as pool:
        for text in pool.map(lambda wheel: _run([auditwheel, "show", "--json", wheel]), native):
            check_glibc(report(text))
    (compiled,) = wheels.glob(f"{COMPILED}-*.whl")
    check_level(compiled.name, disassembly(compiled))


def disassembly(wheel: Path) -> str:
    """Return the instructions of every shared object in a wheel, as objdump prints them."""
    with zipfile.ZipFile(wheel) as file, tempfile.TemporaryDirectory() as folder:
        objects = [file.extract(name, folder) for name in file.namelist() if name.endswith(".so")]
        return "\n".join(_run(["objdump", "--disassemble", "--no-show-raw-insn", path]) for path in objects)


def _pack(root: Path, wheels: Path) -> Wheelhouse:
    """Zip the wheels, and the lists by which pip installs each package at its version and with its wheel's hash."""
    found = sorted(wheels.glob("*.whl"))
    folder = root / archive.FOLDER
    folder.mkdir(exist_ok=True)
    draft = folder / ".wheelhouse.zip"
    with zipfile.ZipFile(draft, "w") as file:
        for name in LISTS:
            archive.add(file, name, "".join(_lines(found, wanted(root, name))).encode())
        for wheel in found:
            archive.add(file, f"wheels/{wheel.name}", wheel.read_bytes())
    digest = archive.sha256_of(draft)
    path = draft.rename(folder / f"wheelhouse-{digest}.zip")
    made = Wheelhouse(path, digest, path.stat().st_size, tuple(one.name for one in found), inputs_digest(root))
    (folder / RECORD).write_text(json.dumps(made.to_json(), indent=1) + "\n")
    return made


def _lines(wheels: Sequence[Path], locked: Mapping[str, Pin]) -> list[str]:
    return sorted(installed_by(wheel, locked) for wheel in wheels if _package(wheel) in locked)


def _package(wheel: Path) -> str:
    return canonical(wheel.name.split("-")[0])


def installed_by(wheel: Path, locked: Mapping[str, Pin]) -> str:
    """Return the line of a list that installs one wheel."""
    name = _package(wheel)
    return f"{name}=={locked[name].version} --hash=sha256:{archive.sha256_of(wheel)}\n"


REFUSALS = (WheelhouseError, LockError, AuditError)


@click.command("artifact")
@click.option("--json", "as_json", is_flag=True, help="Plain JSON instead of a sentence.")
def artifact_command(as_json: bool) -> None:
    """Build the wheels that instances install, as one zip in dist/.

    The file is dist/wheelhouse-<sha256>.zip.
    """
    with refusing(*REFUSALS):
        made = build(PROJECT_ROOT, lambda line: click.echo(line, err=True))
    if as_json:
        print_json({**made.to_json(), "path": str(made.path)})
        return
    click.echo(f"{made.path}: {len(made.wheels)} wheels, {made.size_bytes / 1e6:,.0f} MB, for {made.level}")
