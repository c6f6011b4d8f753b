"""The audit of wheels: glibc and CPU level, each refusal with its reason."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from infra.boot.audit import AuditError, Report, check_glibc, check_level, report

SUM = "void scale(float *a, const float *b, int n) { for (int i = 0; i < n; i++) a[i] = a[i] * b[i] + b[i]; }\n"


def shown(tag: str, symbols: list[str], external: dict[str, dict[str, str]] | None = None) -> Report:
    """Return a report of auditwheel."""
    wheel = {"wheel": "w.whl", "overall_tag": tag, "versioned_symbols": {"libc.so.6": symbols}}
    return report(json.dumps({**wheel, "external_libs": external or {}}))


@pytest.mark.parametrize("tag", ["manylinux_2_5_x86_64", "manylinux_2_17_x86_64", "manylinux_2_34_x86_64"])
def test_a_tag_up_to_the_images_glibc_passes(tag: str) -> None:
    check_glibc(shown(tag, ["GLIBC_2.5"]))


def test_a_newer_symbol_is_named_with_what_to_do() -> None:
    with pytest.raises(AuditError, match=r"glibc 2\.34: it uses GLIBC_2\.36\. .*amazonlinux:2023 container"):
        check_glibc(shown("manylinux_2_36_x86_64", ["GLIBC_2.2.5", "GLIBC_2.36"]))


def test_a_library_that_the_wheel_lacks_is_named() -> None:
    external = {"manylinux_2_34_x86_64": {"libgomp.so.1": "/usr/lib/libgomp.so.1"}}
    with pytest.raises(AuditError, match=r"needs libgomp\.so\.1 from the machine"):
        check_glibc(shown("linux_x86_64", ["GLIBC_2.14"], external))


def test_a_too_new_standard_library_is_refused() -> None:
    with pytest.raises(AuditError, match=r"symbols are too new \(libc\.so\.6\)"):
        check_glibc(shown("linux_x86_64", ["GLIBC_2.14"]))


def compiled(folder: Path, *flags: str) -> str:
    """Compile a multiply and add, and return its instructions."""
    (folder / "sum.cpp").write_text(SUM)
    command = ["c++", "-O3", *flags, "-c", "sum.cpp", "-o", "sum.o"]
    subprocess.run(command, cwd=folder, check=True, timeout=60)
    dump = ["objdump", "--disassemble", "--no-show-raw-insn", "sum.o"]
    return subprocess.run(dump, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout


def test_code_of_the_level_passes(tmp_path: Path) -> None:
    check_level("w.whl", compiled(tmp_path, "-march=x86-64-v3"))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("-march=x86-64",), r"no 256-bit vectors \(AVX2\): it was not compiled for x86-64-v3"),
        (("-march=x86-64", "-mavx"), "no fused multiply-add"),
        (("-march=x86-64-v4", "-mprefer-vector-width=512"), "is AVX-512: it was compiled for this machine"),
    ],
)
def test_code_below_or_above_the_level_is_refused(tmp_path: Path, flags: tuple[str, ...], words: str) -> None:
    with pytest.raises(AuditError, match=words):
        check_level("w.whl", compiled(tmp_path, *flags))


@pytest.mark.parametrize("operand", ["%zmm0", "%ymm17", "%xmm31", "%ymm1{%k1}"])
def test_avx_512_is_seen_at_every_width(operand: str) -> None:
    level = "vfmadd213ps %ymm1,%ymm2,%ymm15\nmov %rsp,%rbp\n"
    check_level("w.whl", level)
    with pytest.raises(AuditError, match="is AVX-512"):
        check_level("w.whl", f"{level}vmovaps (%rax),{operand}\n")
