"""Security group rules that keep their descriptions.

Corrects in moto 5.2.5: the description of a rule that names a group or a prefix list is not returned, a
difference in every later plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.models.security_groups import SecurityGroupRule


def _init(plain: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        plain(self, *args, **kwargs)
        # Positions: backend, protocol, group, from, to, range, source group, prefix list.
        prefix_list = kwargs.get("prefix_list_id") or (args[7] if len(args) > 7 else None)
        self.list_description = (prefix_list or {}).get("Description")

    return __init__


def _description(self: Any) -> str | None:
    places = (self.ip_range.get("Description"), self.source_group.get("Description"), self.list_description)
    return next((text for text in places if text), None)


def install() -> None:
    """Put the corrections on moto's classes."""
    SecurityGroupRule.__init__ = _init(SecurityGroupRule.__init__)
    SecurityGroupRule.description = property(_description)
