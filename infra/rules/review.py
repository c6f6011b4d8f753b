"""One stack judged by every rule, and the acknowledgements judged by every stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.config import NAMESPACE, settings_from
from infra.graph import graph, synthetic
from infra.placeholders import placeholders
from infra.rules.acknowledgements import Acknowledgement, acknowledgement, stale
from infra.rules.graph import of_recording
from infra.rules.registry import RULES
from infra.rules.rule import Finding, findings
from infra.stack import is_rehearsed, own_values, stack_config, stack_names

PLACEHOLDER, KEY = "placeholder", "pulumi:config:Key"


@dataclass(frozen=True)
class Judged:
    """A finding with the reason for which it is accepted, None where it is not."""

    finding: Finding
    reason: str | None


@dataclass(frozen=True)
class Review:
    """All findings of one stack, and the acknowledgements that no stack needs."""

    stack: str
    judged: Sequence[Judged]
    stale: Sequence[Acknowledgement]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to do."""
        return not self.stale and all(one.reason is not None for one in self.judged)


def found_in(stack: str) -> list[Finding]:
    """Collect what the rules find in a stack, accepted or not, and its placeholders. Raises as `graph` does."""
    return [*findings(of_recording(graph(stack), synthetic), RULES), *_placeholders(stack_config(stack))]


def _placeholders(config: dict[str, str]) -> list[Finding]:
    """The placeholders for which `pulumi up` refuses the stack; an emulated AWS takes them."""
    if is_rehearsed(config):
        return []
    found = placeholders(settings_from(own_values(config)))
    return [Finding(PLACEHOLDER, KEY, f"{NAMESPACE}:{key}", "", sentence) for key, sentence in found]


def review(stack: str, known: Sequence[Acknowledgement]) -> Review:
    """Judge a stack. The other stacks are looked at only for what this one does not need. Raises as `graph` does."""
    found = found_in(stack)
    judged = [Judged(finding, _reason(finding, known)) for finding in found]
    return Review(stack, judged, _stale(stack, known, found))


def _reason(finding: Finding, known: Sequence[Acknowledgement]) -> str | None:
    accepted = acknowledgement(finding, known)
    return accepted.reason if accepted else None


def _stale(stack: str, known: Sequence[Acknowledgement], found: Sequence[Finding]) -> list[Acknowledgement]:
    left = stale(known, found)
    for other in stack_names():
        if left and other != stack:
            left = stale(left, found_in(other))
    return left
