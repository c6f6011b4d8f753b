"""
Corrections of moto: one decorated function for each method that answers otherwise than AWS does.

They were written against moto 5.2.5. A correction goes when moto mends its cause, so each says what AWS does.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from typing import Any, Literal, TypeVar

# A later correction of the same method wraps the earlier one. Within a module the order is that of definition.
MODULES = (
    "iam",
    "ec2.instances",
    "ec2.security_groups",
    "ec2.launch_templates",
    "ec2.vpc",
    "autoscaling.groups",
    "autoscaling.activities",
    "autoscaling.lifecycle_api",
    "autoscaling.mixed_instances",
    "autoscaling.instance_refresh_api",
    "autoscaling.scaling_policies",
    "autoscaling.schedules",
    "s3.objects",
    "s3.bucket_policies",
    "s3.buckets",
    "s3.replication",
    "s3.batch_jobs",
    "elbv2",
    "cloudwatch.metrics",
    "cloudwatch.alarms",
    "budgets",
    "kms",
    "logs",
    "route53",
    "sns",
)
_PACKAGE = "rehearsal.emulator.aws"

# The method that moto has, unbound; of a property its getter.
Method = Callable[..., Any]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Correction:
    """A function that wraps or replaces a method of moto's class, or adds one that moto lacks."""

    owner: Any
    name: str
    function: Method
    kind: Literal["wraps", "replaces", "adds"]


_registered: defaultdict[str, list[Correction]] = defaultdict(list)


def corrects(owner: Any, *names: str) -> Callable[[Function], Function]:
    """Wrap these methods of a class of moto's: the function receives the plain method, then the arguments."""
    return _register(owner, names, "wraps")


def replaces(owner: Any, *names: str) -> Callable[[Function], Function]:
    """Put the function in the place of these methods."""
    return _register(owner, names, "replaces")


def adds(owner: Any, name: str) -> Callable[[Function], Function]:
    """Add a method that moto's class does not have."""
    return _register(owner, (name,), "adds")


def _register(
    owner: Any, names: tuple[str, ...], kind: Literal["wraps", "replaces", "adds"]
) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        _registered[function.__module__] += [Correction(owner, name, function, kind) for name in names]
        return function

    return decorate


def ordered() -> list[Correction]:
    """Return every correction in the order in which they are applied."""
    for name in MODULES:
        import_module(f"{_PACKAGE}.{name}")
    return [correction for name in MODULES for correction in _registered[f"{_PACKAGE}.{name}"]]


def apply() -> None:
    """Put every correction on moto's classes; call it once in a process."""
    for correction in ordered():
        setattr(correction.owner, correction.name, _attribute(correction))


def _attribute(correction: Correction) -> Any:
    """Return the function in the form of what it stands for: a method, a static method or a property."""
    plain = inspect.getattr_static(correction.owner, correction.name, None)
    kind = type(plain) if isinstance(plain, property | staticmethod) else None
    function = correction.function
    if correction.kind == "wraps":
        function = _wrapped(plain.fget if isinstance(plain, property) else plain, function)
    return function if kind is None else kind(function)


def _wrapped(plain: Any, function: Method) -> Method:
    @wraps(plain)
    def method(*args: Any, **kwargs: Any) -> Any:
        return function(plain, *args, **kwargs)

    return method
