"""The journal and the folded state after each kind of end."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rehearsal.deployer.errors import DeployError, RefusedError
from rehearsal.deployer.state import (
    JOURNAL_FILE,
    STATE_FILE,
    Change,
    Resource,
    Snapshot,
    State,
    apply_change,
    locked,
)


def thing(id_: str = "id-1", name: str = "a") -> Resource:
    return Resource(urn=f"urn:{name}", type="t", name=name, id=id_)


def test_a_recorded_resource_survives_a_kill(tmp_path: Path) -> None:
    first = State(tmp_path)
    first.fold()
    first.announce(thing(""))
    first.record(thing())
    assert State(tmp_path).snapshot.live == {"urn:a": thing()}
    assert State(tmp_path).snapshot.announced == {}
    first.erase()


def test_a_line_cut_off_by_a_kill_is_ignored(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        state.record(thing())
        line = (tmp_path / JOURNAL_FILE).read_bytes()
        (tmp_path / JOURNAL_FILE).write_bytes(line + line[:20])
        assert State(tmp_path).snapshot.live == {"urn:a": thing()}


def test_a_folded_journal_is_not_applied_again(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        state.record(thing("id-1"))
        state.record(thing("id-2"))
        journal = (tmp_path / JOURNAL_FILE).read_bytes()
    (tmp_path / JOURNAL_FILE).write_bytes(journal)
    snapshot = State(tmp_path).snapshot
    assert snapshot.live == {"urn:a": thing("id-2")}
    assert snapshot.condemned == [thing("id-1")]


def test_erasing_leaves_no_file(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        state.record(thing())
        state.erase()
    assert list(tmp_path.iterdir()) == []


def test_two_deployments_do_not_share_a_root(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RefusedError, match="another deployment is running"), locked(tmp_path):
        pass


@pytest.mark.parametrize("content", [b"{", b'{"version": 99}', b'{"live": 3}'])
def test_an_unreadable_state_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATE_FILE).write_bytes(content)
    with pytest.raises(DeployError, match=STATE_FILE):
        State(tmp_path)


changes = st.lists(
    st.tuples(
        st.sampled_from(["announce", "withdraw", "record", "forget"]),
        st.sampled_from(["id-1", "id-2", "id-3"]),
        st.sampled_from(["a", "b"]),
    ),
    max_size=12,
)


@given(history=changes, cut=st.integers(0, 12))
@settings(max_examples=200)
def test_folding_at_any_point_gives_the_same_state(history: list[tuple[str, str, str]], cut: int) -> None:
    """Replaying the whole journal over a state that holds part of it already is the normal case after a kill."""
    journal = [
        Change(serial=number, op=op, resource=thing(id_, name))
        for number, (op, id_, name) in enumerate(history, start=1)
    ]
    straight, folded = Snapshot(), Snapshot()
    for change in journal:
        apply_change(straight, change)
    for change in [*journal[:cut], *journal]:
        apply_change(folded, change)
    assert msgspec.json.encode(folded) == msgspec.json.encode(straight)
