"""Output of a review: as a table, and as JSON."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from infra.review.rules.acknowledgements import Acknowledgement
from infra.review.rules.registry import RULES
from infra.review.rules.review import JudgedFinding, Review


def as_json(review: Review) -> dict[str, object]:
    """Return the review as plain data."""
    return {
        "stack": review.stack,
        "clean": review.is_clean,
        "findings": [_row(one) for one in review.judged],
        "stale": [{name: getattr(one, name) for name in ("rule", "type", "name", "reason")} for one in review.stale],
    }


def _row(judged: JudgedFinding) -> dict[str, object]:
    finding = judged.finding
    return {
        "rule": finding.rule,
        "type": finding.type,
        "name": finding.name,
        "finding": finding.sentence,
        "acknowledged": judged.reason,
    }


def show(review: Review, console: Console | None = None) -> None:
    """Print the findings (accepted ones dimmed), the stale acknowledgements and the count."""
    out = console or Console()
    if review.judged:
        out.print(_table(review))
    for one in review.stale:
        out.print(_stale(one), highlight=False)
    left = sum(one.reason is None for one in review.judged)
    out.print(
        f"{len(RULES)} rules on stack {review.stack}: {left} found, "
        f"{len(review.judged) - left} acknowledged, {len(review.stale)} stale",
        highlight=False,
    )


def _table(review: Review) -> Table:
    table = Table()
    for name in ("rule", "resource", "finding"):
        table.add_column(name)
    for one in sorted(review.judged, key=lambda judged: judged.reason is not None):
        finding = one.finding
        text = finding.sentence if one.reason is None else f"{finding.sentence}\nAcknowledged: {one.reason}"
        kind = finding.type.rsplit(":", 1)[1]
        table.add_row(finding.rule, f"{kind} {finding.name}", text, style=None if one.reason is None else "dim")
    return table


def _stale(one: Acknowledgement) -> str:
    return (
        f"The acknowledgement of {one.rule} on {one.type} {one.name} accepts nothing that any stack has. "
        "Remove it from infra/review/rules/acknowledgements.py."
    )
