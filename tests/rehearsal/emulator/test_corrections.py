"""Corrections of moto: each fits moto as it is, and is applied once."""

from __future__ import annotations

import inspect
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from rehearsal.emulator import corrections
from rehearsal.emulator.corrections import Correction, Method, ordered

ABSENT = object()


@pytest.mark.parametrize("correction", ordered(), ids=lambda one: f"{one.owner.__name__}.{one.name}-{one.kind}")
def test_moto_has_what_is_corrected_and_lacks_what_is_added(correction: Correction) -> None:
    found = inspect.getattr_static(correction.owner, correction.name, ABSENT)
    assert (found is ABSENT) == (correction.kind == "adds")


def test_every_registered_module_is_in_the_order_once() -> None:
    applied = [correction.function.__module__ for correction in ordered()]
    assert set(applied) == {module for module, found in corrections._registered.items() if found}
    assert len(set(corrections.MODULES)) == len(corrections.MODULES)


def test_every_correction_is_applied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    put: list[tuple[Any, str]] = []
    monkeypatch.setattr(corrections, "setattr", lambda owner, name, value: put.append((owner, name)), raising=False)
    corrections.apply()
    assert put == [(correction.owner, correction.name) for correction in ordered()]
    assert set(Counter(ordered()).values()) == {1}


class Bucket:
    """A class of moto's, with a method, a property and a static method."""

    def name(self) -> str:
        return "plain"

    @property
    def size(self) -> int:
        return 1

    @staticmethod
    def region() -> str:
        return "us-east-1"


def test_corrections_wrap_in_the_order_of_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    def wraps(plain: Method, *arguments: Any) -> Any:
        return [plain(*arguments)]

    def doubles(plain: Method, *arguments: Any) -> Any:
        return plain(*arguments) * 2

    made = [
        Correction(Bucket, "name", wraps, "wraps"),
        Correction(Bucket, "name", doubles, "wraps"),
        Correction(Bucket, "size", doubles, "wraps"),
        Correction(Bucket, "region", lambda: "eu-west-1", "replaces"),
        Correction(Bucket, "owner", lambda self: "nobody", "adds"),
    ]
    monkeypatch.setattr(corrections, "ordered", lambda: made)
    corrections.apply()
    bucket: Any = Bucket()
    found = SimpleNamespace(name=bucket.name(), size=bucket.size, region=Bucket.region(), owner=bucket.owner())
    assert found == SimpleNamespace(name=["plain", "plain"], size=2, region="eu-west-1", owner="nobody")
