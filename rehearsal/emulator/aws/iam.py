"""IAM that is ready at the first request."""

from __future__ import annotations

from typing import Any

from moto.iam.models import IAMBackend, iam_backends

from rehearsal.emulator.corrections import Method, corrects


@corrects(IAMBackend, "_init_aws_policies")
def _init_aws_policies(plain: Method, self: Any) -> Any:
    """Load AWS's managed policies for one partition; moto loads them six times during the first request."""
    # The "region" of an IAM backend is its partition.
    return plain(self) if self.region_name == "aws" else []


def warm_up(account: str) -> None:
    iam_backends[account]["aws"]
