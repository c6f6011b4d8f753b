"""The review of a stack: every rule on its resources, and every stack on the acknowledgements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.configuration.stack_file import is_rehearsed, own_values, stack_config, stack_names
from infra.configuration.stack_settings import NAMESPACE, placeholders, settings_from
from infra.review.graph import graph, synthetic
from infra.review.rules.acknowledgements import Acknowledgement, acknowledgement, stale
from infra.review.rules.graph import of_recording
from infra.review.rules.registry import RULES
from infra.review.rules.rule import Finding, findings

PLACEHOLDER, KEY = "placeholder", "pulumi:config:Key"


@dataclass(frozen=True)
class JudgedFinding:
    """A finding with the reason of its acceptance, None if it is not accepted."""

    finding: Finding
    reason: str | None


@dataclass(frozen=True)
class Review:
    """All findings of one stack, and the acknowledgements that no stack needs."""

    stack: str
    judged: Sequence[JudgedFinding]
    stale: Sequence[Acknowledgement]

    @property
    def is_clean(self) -> bool:
        """Nothing is left to do."""
        return not self.stale and all(one.reason is not None for one in self.judged)


def found_in(stack: str) -> list[Finding]:
    """Return a stack's findings, accepted or not, and its placeholders. Raises as `graph` does."""
    return [*findings(of_recording(graph(stack), synthetic), RULES), *_placeholders(stack_config(stack))]


def _placeholders(config: dict[str, str]) -> list[Finding]:
    """Return the placeholders that `pulumi up` refuses; an emulated AWS accepts them."""
    if is_rehearsed(config):
        return []
    found = placeholders(settings_from(own_values(config)))
    return [Finding(PLACEHOLDER, KEY, f"{NAMESPACE}:{key}", "", sentence) for key, sentence in found]


def review(stack: str, known: Sequence[Acknowledgement]) -> Review:
    """Review a stack; other stacks are read only for acknowledgements it does not need. Raises as `graph` does."""
    found = found_in(stack)
    judged = [JudgedFinding(finding, _reason(finding, known)) for finding in found]
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
