"""The verification of a slot: its checks, their verdict, and the record that a switch asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from infra.facts import slo
from runbooks.durations import spoken
from runbooks.slots.comparison import PairedAnswers
from service.storage.objects import NoSuchKey, ObjectStore, PreconditionFailed, StoreError
from vectorfleet.verdicts import Verdict

VALID_SECONDS = 86_400.0
ALPHA = 0.05  # the accepted chance of refusing a slot that is as good as the other
RECALL_FLOOR = 0.95
RELEVANCE_FLOOR = slo.objective("relevance").alert
WORST_FIRST = (Verdict.FAIL, Verdict.VOID, Verdict.UNDECIDED)


class Check(msgspec.Struct, frozen=True):
    """One check of a verification, with the sentence that gives its figures."""

    name: str
    verdict: Verdict
    sentence: str


class Verification(msgspec.Struct, frozen=True):
    """A verification of `build` in `slot` against the slot that served, at the store's time `verified_ms`.

    `recipe` is the one that the slot worked by, search parameters included.
    """

    slot: str
    build: str
    against: str
    recipe: dict[str, Any]
    position: int
    checks: list[Check]
    verified_ms: int = 0

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the checks; without a check, VOID."""
        verdicts = {check.verdict for check in self.checks}
        if not verdicts:
            return Verdict.VOID
        return next((one for one in WORST_FIRST if one in verdicts), Verdict.PASS)

    def refusal(self, build: str, recipe: Mapping[str, Any], now_ms: int) -> str:
        """Return why a switch to the slot can't rest on this verification; empty if it can."""
        age_seconds = (now_ms - self.verified_ms) / 1000
        if self.verdict is not Verdict.PASS:
            return f"its last verification ended with {self.verdict}"
        if self.build != build:
            return f"build {self.build} was verified, and the slot now has build {build}"
        if self.recipe != dict(recipe):
            return "its configuration has changed since the verification"
        if age_seconds > VALID_SECONDS:
            return f"its verification is {spoken(round(age_seconds))} old; it counts for {spoken(round(VALID_SECONDS))}"
        return ""


class Verifications:
    """The newest verification of each build, in the index bucket."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def find(self, build: str) -> Verification | None:
        """Return the newest verification of a build, or None. Raises StoreError."""
        return self._read(build)[0]

    def keep(self, verification: Verification) -> Verification:
        """Store a verification with the store's time in place of an older one, and return it. Raises StoreError."""
        _, etag = self._read(verification.build)
        kept = msgspec.structs.replace(verification, verified_ms=self._store.clock.now_ms())
        body, key = msgspec.json.encode(kept), _key(verification.build)
        try:
            if etag:
                self._store.replace(key, body, etag)
            else:
                self._store.create(key, body)
        except PreconditionFailed:
            raise StoreError(f"s3://{self._store.bucket}/{key} was written meanwhile; verify the slot again") from None
        return kept

    def now_ms(self) -> int:
        """Return the store's time."""
        return self._store.clock.now_ms()

    def _read(self, build: str) -> tuple[Verification | None, str]:
        try:
            stored = self._store.get(_key(build))
        except NoSuchKey:
            return None, ""
        try:
            return msgspec.json.decode(stored.body, type=Verification), stored.etag
        except msgspec.MsgspecError:
            # A record that can't be read verifies nothing, and the next one replaces it.
            return None, stored.etag


def documents_check(digests: Mapping[str, Mapping[int, str]], slot: str, against: str) -> Check:
    """Compare the digests of two slots at a position that both report; each slot's are given by position."""
    common = sorted(digests[slot].keys() & digests[against].keys())
    if not common:
        return Check("documents", Verdict.VOID, "The slots never stood at one position; verify with fewer writes.")
    at = common[-1]
    if digests[slot][at] == digests[against][at]:
        return Check("documents", Verdict.PASS, f"Both slots hold the same documents at position {at}.")
    return Check(
        "documents",
        Verdict.FAIL,
        f"The slots hold different documents at position {at}: digest {digests[slot][at]} in {slot}, "
        f"{digests[against][at]} in {against}. Compare the rejected documents of both indexers first.",
    )


def golden_checks(answers: PairedAnswers, against: str, floor: float = RELEVANCE_FLOOR) -> Sequence[Check]:
    """Judge relevance against the other slot and a floor, and recall against exact search."""
    p_value = answers.p_value
    not_worse = Verdict.FAIL if p_value < ALPHA else Verdict.PASS
    return (
        Check(
            "golden set",
            not_worse,
            f"Of {answers.questions} questions {len(answers.gained)} are answered only here, {len(answers.lost)} only "
            f"in {against} (sign test, p = {p_value:.3f}; worse below {ALPHA:g}).",
        ),
        Check(
            "relevance",
            Verdict.PASS if answers.relevance >= floor else Verdict.FAIL,
            f"Relevance is {answers.relevance:.3f}, at least {floor:g} is needed.",
        ),
        Check(
            "recall",
            Verdict.PASS if answers.recall >= RECALL_FLOOR else Verdict.FAIL,
            f"Recall against exact search is {answers.recall:.3f}, at least {RECALL_FLOOR:g} is needed.",
        ),
    )


def _key(build: str) -> str:
    return f"builds/{build}/verified/slot.json"
