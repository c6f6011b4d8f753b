"""Of one request_id only the first write counts, however the log is cut into steps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.indexer.fold import Seen
from service.storage.documents import Document, Written

LOGS = st.lists(st.lists(st.sampled_from("abcdef"), max_size=4), max_size=10)


def _log(entries: list[list[str]]) -> list[list[Written]]:
    return [
        [Written(position, item, Document(request_id, f"s{position}.{item}")) for item, request_id in enumerate(ids)]
        for position, ids in enumerate(entries, start=1)
    ]


@given(LOGS, st.data())
def test_any_cut_into_steps_keeps_the_same_first_writes(entries: list[list[str]], data: st.DataObject) -> None:
    log = _log(entries)
    wanted: dict[str, Written] = {}
    for written in (one for entry in log for one in entry):
        wanted.setdefault(written.document.request_id, written)
    seen, kept = Seen(), []
    while log:
        count = data.draw(st.integers(1, len(log)))
        step, log = [one for entry in log[:count] for one in entry], log[count:]
        fresh = seen.first_writes(step)
        seen.remember(fresh)
        kept += fresh.documents
    assert kept == list(wanted.values())


def test_a_step_that_is_not_remembered_can_be_done_again() -> None:
    seen, step = Seen(), _log([["a", "b"]])[0]
    assert seen.first_writes(step).documents == step
    assert seen.first_writes(step).documents == step


def test_a_late_retry_does_not_undo_a_newer_write() -> None:
    seen = Seen()
    first, newer, retry = (
        Written(position, 0, Document(request_id, "s")) for position, request_id in [(1, "old"), (2, "new"), (9, "old")]
    )
    for written, kept in [(first, [first]), (newer, [newer]), (retry, [])]:
        fresh = seen.first_writes([written])
        seen.remember(fresh)
        assert fresh.documents == kept
