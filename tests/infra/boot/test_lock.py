"""The pins of a dependency group, found in the lock file by its `via` comments."""

from __future__ import annotations

import re
from importlib.metadata import requires

import pytest

from infra import PROJECT_ROOT
from infra.boot.lock import LockError, canonical, closure, group, pins

LOCK = f"""# said before the first pin
alpha==1.0 \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha256:{"b" * 64}
    # via project (pyproject.toml)
beta==2.0.post1 \\
    --hash=sha256:{"c" * 64}
    # via
    #   alpha
    #   other
gamma==3 \\
    --hash=sha256:{"d" * 64}
    # via beta
other==4 \\
    --hash=sha256:{"e" * 64}
    # via project (pyproject.toml)

# The following packages are considered to be unsafe in a requirements file:
pip==26.3 \\
    --hash=sha256:{"f" * 64}
    # via other
"""


def test_a_pin_has_version_hashes_and_requiring_packages() -> None:
    found = pins(LOCK)
    assert list(found) == ["alpha", "beta", "gamma", "other", "pip"]
    assert found["beta"].requirement() == f"beta==2.0.post1 --hash=sha256:{'c' * 64}"
    assert len(found["alpha"].hashes) == 2
    assert found["beta"].wanted_by == {"alpha", "other"}
    assert found["pip"].wanted_by == {"other"}


def test_the_closure_has_all_requirements_and_nothing_else() -> None:
    assert list(closure(["alpha"], pins(LOCK))) == ["alpha", "beta", "gamma"]
    assert list(closure(["other"], pins(LOCK))) == ["beta", "gamma", "other", "pip"]


def test_a_root_without_a_pin_is_refused_with_a_command() -> None:
    with pytest.raises(LockError, match=r"no pin for delta, zeta; run make lock\."):
        closure(["zeta", "alpha", "delta"], pins(LOCK))


def test_the_service_group_has_the_requirements_of_its_packages() -> None:
    found = group(PROJECT_ROOT, "service")
    assert {"hnswlib", "numpy", "pyarrow", "wordllama", "click"} <= found.keys()
    assert not {"pulumi", "moto", "locust", "pytest"} & found.keys()
    plain = [line for name in found for line in requires(name) or () if ";" not in line]
    assert plain
    assert {canonical(re.split(r"[^\w.-]", line)[0]) for line in plain} <= found.keys()


def test_the_build_tools_are_pinned_by_hash_and_name_no_index() -> None:
    text = (PROJECT_ROOT / "requirements-build.lock").read_text()
    wanted = [line for line in (PROJECT_ROOT / "requirements-build.in").read_text().splitlines() if line[0] != "#"]
    assert {line.split(">")[0] for line in wanted} <= pins(text).keys()
    assert all(pin.hashes for pin in pins(text).values())
    assert "--index" not in text
    assert "://" not in text
