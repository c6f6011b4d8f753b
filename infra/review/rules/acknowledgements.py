"""Accepted findings, each with its reason. An acknowledgement that no finding needs is an error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from infra.review.rules.rule import Finding


@dataclass(frozen=True)
class Acknowledgement:
    """
    An acceptance of what `rule` finds on resources of a type whose name matches the shell pattern `name`.

    An `optional` one may stay although no stack needs it, since only some configurations do.
    """

    rule: str
    type: str
    name: str
    reason: str
    optional: bool = False

    def covers(self, finding: Finding) -> bool:
        """Return True if it accepts the finding."""
        return (self.rule, self.type) == (finding.rule, finding.type) and fnmatchcase(finding.name, self.name)


ACKNOWLEDGEMENTS: tuple[Acknowledgement, ...] = (
    Acknowledgement(
        "group-notifications",
        "aws:autoscaling/group:Group",
        "*-generator",
        "A person starts load generators, by a verb that waits until they are in service and says when they are not.",
        optional=True,
    ),
    Acknowledgement(
        "group-notifications",
        "aws:autoscaling/group:Group",
        "*-indexer",
        "A batch's indexer is away in between, where an alarm would sound; what it has not indexed waits in the log.",
        optional=True,
    ),
    Acknowledgement(
        "listener-https",
        "aws:lb/listener:Listener",
        "rehearsal",
        "A rehearsal's listener is a loopback address: nobody outside of the machine reaches it.",
        optional=True,
    ),
)


def acknowledgement(finding: Finding, known: Iterable[Acknowledgement]) -> Acknowledgement | None:
    """Return the first acknowledgement that accepts a finding, or None."""
    return next((one for one in known if one.covers(finding)), None)


def stale(known: Iterable[Acknowledgement], found: Sequence[Finding]) -> list[Acknowledgement]:
    """Return the acknowledgements that accept none of these findings and should."""
    return [one for one in known if not one.optional and not any(one.covers(finding) for finding in found)]
