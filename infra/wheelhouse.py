"""
The wheels that a process of the fleet runs on, as one zip named by its content.

Instances reach no package index, so that everything lies in S3: `service`, `traces` and `loadtests` at the locked
versions, and hnswlib compiled for x86-64-v3, a level that every machine of the catalog has, never for the machine
that builds.
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

from infra.lock import LockError, Pin, canonical, group, pins
from infra.wheel_audit import GLIBC, LEVEL, AuditError, check_glibc, check_level, report

PYTHON = (3, 11)  # Amazon Linux 2023 packages it; the system's own 3.9 is too old
COMPILED = "hnswlib"
FOLDER = "dist"
# What instances install, by the list of the wheelhouse that names it: groups of the project's dependencies.
LISTS = {
    "service.txt": ("service", "traces"),
    "onnx.txt": ("service", "traces", "onnx"),
    "loadtests.txt": ("service", "loadtests"),
}
RECORD = "wheelhouse.json"
BUILD_LOCK = "requirements-build.lock"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip entry can carry
EPOCH_SECONDS = "315532800"  # the same for what setuptools writes
FILE_MODE = 0o100644 << 16
# The oldest glibc that a wheel for x86-64 may name is 2.5.
PLATFORMS = (
    *(f"manylinux_{GLIBC[0]}_{minor}_x86_64" for minor in range(GLIBC[1], 4, -1)),
    *(f"manylinux{year}_x86_64" for year in ("2014", "2010", "1")),
)
COMPILER_FLAGS = f"-march={LEVEL} -g0"
COMPILER_ENVIRONMENT = {
    "HNSWLIB_NO_NATIVE": "1",
    # Without the first, libgomp is asked for although nothing of it is used.
    "LDFLAGS": "-Wl,--as-needed -Wl,-s",
    "SOURCE_DATE_EPOCH": EPOCH_SECONDS,
}

Say = Callable[[str], None]


class WheelhouseError(Exception):
    """The wheelhouse can't be built or used; the message says why and what to do."""


@dataclass(frozen=True)
class Wheelhouse:
    """A built wheelhouse. `inputs` is the digest of what it was built from."""

    path: Path
    sha256: str
    size_bytes: int
    wheels: tuple[str, ...]
    inputs: str
    level: str = LEVEL

    @property
    def key(self) -> str:
        """The object's key in the artifacts bucket."""
        return f"wheelhouse/{self.sha256}.zip"

    def to_json(self) -> dict[str, object]:
        """As `make artifact` prints it, and as it is found again; the path is the file's name."""
        return {
            "path": self.path.name,
            "sha256": self.sha256,
            "bytes": self.size_bytes,
            "wheels": list(self.wheels),
            "level": self.level,
            "inputs": self.inputs,
        }


def inputs_digest(root: Path) -> str:
    """
    Digest of all that decides what is built: pins, build tools, and how.

    Raises LockError where the lock lacks a package.
    """
    how = json.dumps([COMPILER_FLAGS, COMPILER_ENVIRONMENT, PLATFORMS, PYTHON, LEVEL], sort_keys=True)
    parts = [*(pin.requirement() for pin in wanted(root).values()), (root / BUILD_LOCK).read_text(), how]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def wanted(root: Path, *lists: str) -> dict[str, Pin]:
    """The pins of some lists, of all when none is named. Raises LockError."""
    groups = sorted({name for one in lists or LISTS for name in LISTS[one]})
    return {name: pin for one in groups for name, pin in group(root, one).items()}


def built(root: Path) -> Wheelhouse | None:
    """
    The wheelhouse in `dist/` that fits the present locks, or None where none was ever built.

    Raises WheelhouseError when the one there is of other locks or damaged, and LockError as `inputs_digest`.
    """
    record = root / FOLDER / RECORD
    if not record.is_file():
        return None
    said = json.loads(record.read_text())
    path = root / FOLDER / said["path"]
    if said["inputs"] != inputs_digest(root):
        raise WheelhouseError(f"{path} was built from other versions than the locks name now; run make artifact.")
    if not path.is_file() or _sha256(path) != said["sha256"]:
        raise WheelhouseError(f"{path} is missing or isn't what was built; run make artifact.")
    return Wheelhouse(path, said["sha256"], said["bytes"], tuple(said["wheels"]), said["inputs"], said["level"])


def build(root: Path, say: Say) -> Wheelhouse:
    """
    Build the wheelhouse, or return the one that fits; `say` gets a line for each step.

    Raises WheelhouseError, LockError or AuditError with a sentence.
    """
    # A stale or damaged one is no error for the one who builds the next.
    with suppress(WheelhouseError):
        if (there := built(root)) is not None:
            say(f"{there.path} is up to date")
            return there
    check_machine()
    with tempfile.TemporaryDirectory(prefix="wheelhouse-") as folder:
        return _build(root, Path(folder), say)


def check_machine() -> None:
    """Raises WheelhouseError where the wheels of Amazon Linux 2023 can't be built."""
    here = f"{platform.system()} {platform.machine()}"
    if here != "Linux x86_64":
        raise WheelhouseError(
            f"wheels for Linux x86_64 can't be compiled on {here}; run make artifact on Linux x86_64."
        )
    if sys.version_info[:2] != PYTHON:
        wanted = ".".join(map(str, PYTHON))
        raise WheelhouseError(
            f"the fleet runs on Python {wanted} and .venv has {platform.python_version()}; "
            f"run make clean, then make artifact PYTHON=/path/to/python{wanted}."
        )
    for tool in ("c++", "objdump"):
        if shutil.which(tool) is None:
            raise WheelhouseError(f"{tool} is not here; install a C++ compiler and binutils.")


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
    """Standard output of a command; raises WheelhouseError with the end of what it said when it fails."""
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
    """The Python of an environment with the pinned build tools; numpy's headers are the service's own version."""
    _run([sys.executable, "-m", "venv", work / "build"])
    python = work / "build/bin/python"
    listed = _requirements(work / "tools.txt", [*pins((root / BUILD_LOCK).read_text()).values(), numpy])
    _run([python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--require-hashes", "-r", listed])
    return python


def _download(python: Path, locked: Sequence[Pin], wheels: Path) -> None:
    """Wheels that run on Amazon Linux 2023, whatever this machine could run; the hashes also prove the list whole."""
    listed = _requirements(wheels.parent / "downloaded.txt", locked)
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    version = [".".join(map(str, PYTHON)), "--implementation", "cp", "--abi", "cp" + "".join(map(str, PYTHON))]
    kinds = ["--only-binary", ":all:", "--python-version", *version, *platforms]
    # hnswlib is left out of the list, and nothing else asks for it.
    _run([python, "-m", "pip", "download", "--quiet", "--require-hashes", *kinds, "-r", listed, "-d", wheels])


def _compile(python: Path, pin: Pin, wheels: Path) -> None:
    listed = _requirements(wheels.parent / "compiled.txt", [pin])
    # Assertions carry the paths of headers, and this folder has another name each time.
    flags = f"{COMPILER_FLAGS} -ffile-prefix-map={wheels.parent}=."
    environment = {**COMPILER_ENVIRONMENT, "CFLAGS": flags, "CXXFLAGS": flags}
    # pip's cache may hold a wheel of the same name that was compiled for this very machine.
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
    """The instructions of every shared object in a wheel, as objdump prints them."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        objects = [archive.extract(name, folder) for name in archive.namelist() if name.endswith(".so")]
        return "\n".join(_run(["objdump", "--disassemble", "--no-show-raw-insn", path]) for path in objects)


def _pack(root: Path, wheels: Path) -> Wheelhouse:
    """Zip the wheels beside the lists that pip installs from: each package at its version, with its wheel's hash."""
    found = sorted(wheels.glob("*.whl"))
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    draft = folder / ".wheelhouse.zip"
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for name in LISTS:
            _add(archive, name, "".join(_lines(found, wanted(root, name))).encode())
        for wheel in found:
            _add(archive, f"wheels/{wheel.name}", wheel.read_bytes())
    digest = _sha256(draft)
    path = draft.rename(folder / f"wheelhouse-{digest}.zip")
    made = Wheelhouse(path, digest, path.stat().st_size, tuple(one.name for one in found), inputs_digest(root))
    (folder / RECORD).write_text(json.dumps(made.to_json(), indent=1) + "\n")
    return made


def _lines(wheels: Sequence[Path], locked: Mapping[str, Pin]) -> list[str]:
    return sorted(installed_by(wheel, locked) for wheel in wheels if _package(wheel) in locked)


def _package(wheel: Path) -> str:
    return canonical(wheel.name.split("-")[0])


def installed_by(wheel: Path, locked: Mapping[str, Pin]) -> str:
    """The line that installs one wheel and nothing else."""
    name = _package(wheel)
    return f"{name}=={locked[name].version} --hash=sha256:{_sha256(wheel)}\n"


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = FILE_MODE
    entry.create_system = 3
    archive.writestr(entry, content)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


REFUSALS = (WheelhouseError, LockError, AuditError)
