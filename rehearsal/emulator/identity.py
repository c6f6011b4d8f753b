"""IAM that is ready at the first request.

Corrects in moto 5.2.5: AWS' managed policies are loaded six times over, once per partition, during the first
request to any service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.iam.models import IAMBackend, iam_backends


def _only_commercial(plain: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    def init_aws_policies(self: Any) -> list[Any]:
        # The "region" of an IAM backend is its partition.
        return plain(self) if self.region_name == "aws" else []

    return init_aws_policies


def warm_up(account: str) -> None:
    """Load the managed policies now."""
    iam_backends[account]["aws"]


def install() -> None:
    """Put the correction on moto's class."""
    IAMBackend._init_aws_policies = _only_commercial(IAMBackend._init_aws_policies)
