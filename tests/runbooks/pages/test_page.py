"""The grammar of a page; every mistake is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks.pages.blocks import PageError
from runbooks.pages.page import Page, parse_page

PATH = Path("RB-07-something.md")


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_a_sound_page_is_read(sound_page: Page) -> None:
    assert (sound_page.identity, sound_page.title) == ("RB-07", "Something breaks")
    assert sound_page.header["Customer sees"] == "errors, many of them."
    assert (sound_page.rto_seconds, sound_page.rpo_seconds) == (600.0, 0.0)
    assert sound_page.alarms == ("error-rate",)
    assert [step.title for step in sound_page.steps] == ["Look", "Push", "Call"]


def test_a_step_holds_its_fence_bullets_and_jumps(sound_page: Page) -> None:
    look, push, call = sound_page.steps
    assert look.fence is not None
    assert (look.fence.name, look.fence.script) == ("look", "vectorfleet fleet")
    assert [(e.command, e.exit_code, e.text, e.within_seconds) for e in look.expects] == [
        (None, 0, None, None),
        ("vectorfleet fleet --field state", None, "complete", 20.0),
    ]
    assert (look.budget_seconds, look.if_not and look.if_not.step) == (60.0, 3)
    assert push.if_not is not None
    assert (push.if_not.step, push.if_not.at_most, push.if_not.afterwards) == (1, 2, 3)
    assert push.then is not None
    assert push.then.step is None
    assert push.undo == "vectorfleet groups"
    assert call.person == "call somebody."


def test_within_budget_has_no_time_of_its_own(sound_text: str) -> None:
    page = parse_page(sound_text.replace("within 20s", "within budget"), PATH)
    assert page.steps[0].expects[1].within_seconds == float("inf")


# Each mistake: what is replaced, by what, at which text its line is found, a word of the message.
MISTAKES = [
    ("# RB-07 Something", "# Something", "# Something", "no title"),
    ("- Do not use when: nothing is broken.\n", "", "# RB-07", "Do not use when"),
    ("RTO 10m, RPO 0s", "RTO soon", "- Target", "not a valid target"),
    ("RTO 10m", "RTO 10x", "- Target", "not a duration"),
    ("- Why: to see it.", "Just prose.", "Just prose.", "is not allowed; write a heading"),
    ("- Why: to see it.", "- Wy: to see it.", "- Wy", "not allowed in step 1"),
    ("- Why: to see it.", "- Why: a\n- Why: b", "- Why: b", "second `Why`"),
    ("- Why: to see it.", "  stray", "  stray", "is not allowed; write a heading"),
    ("## 2. Push", "## 3. Push", "## 3. Push", "## 2. Title"),
    ("## 2. Push", "### 2. Push", "### 2. Push", "is not allowed; write a heading"),
    ('```sh {"name": "look"}', "```bash", "```bash", "```sh"),
    ('{"name": "look"}', '{"nam": "look"}', "```sh {", "one attribute"),
    ('{"name": "look"}', "{name}", "```sh {", "not valid JSON"),
    ('{"name": "look"}', '{"name": 3}', "```sh {", "one attribute"),
    ("vectorfleet fleet\n```", "```", "```sh {", "empty"),
    ("vectorfleet launch\n```", "vectorfleet launch", "```sh\n", "never closed"),
    ("## 3. Call", "```sh\naws\n```\n\n## 3. Call", "aws\n```", "second command block"),
    ("Expect: exit 0\n", "Expect: it works\n", "- Expect: it", "not a valid expectation"),
    ("exit 0; `vectorfleet", "exit 0 and `vectorfleet", "- Expect: exit 0 and", "not a valid expectation"),
    ("within 20s", "within a while", "- Expect: exit 0; `vectorfleet", "not a valid expectation"),
    ("Budget: 1m", "Budget: some", "- Budget: some", "not a duration"),
    ("Undo: `vectorfleet groups`", "Undo: wait", "- Undo", "one command"),
    ("If not: go to 3", "If not: give up", "- If not: give up", "not a valid jump"),
    ("If not: go to 3", "If not: done", "- If not: done", "not a valid jump"),
    ("at most 2 times, then go to 3", "at most 2 times", "- If not: go to 1", "not a valid jump"),
    ("- Then: done", "- Then: finished", "- Then: finished", "`done`"),
    ("- Customer sees: errors,", "- Use when: again,", "- Use when: again", "second `Use when`"),
    ("- Target:", "## 1. Early\n\n- Target:", "# RB-07", "no `- Target"),
]


@pytest.mark.parametrize(("old", "new", "where", "word"), MISTAKES)
def test_a_mistake_is_refused_with_its_line(sound_text: str, old: str, new: str, where: str, word: str) -> None:
    assert old in sound_text
    broken = sound_text.replace(old, new, 1)
    with pytest.raises(PageError) as caught:
        parse_page(broken, PATH)
    assert word in caught.value.mistake
    assert caught.value.line == line_of(broken, where)
    assert str(caught.value).startswith(f"RB-07-something.md:{caught.value.line}: ")


def test_a_page_without_steps_is_refused(sound_text: str) -> None:
    with pytest.raises(PageError, match="at least one step"):
        parse_page(sound_text[: sound_text.index("## 1")], PATH)


def test_an_empty_page_is_refused() -> None:
    with pytest.raises(PageError, match="no title"):
        parse_page("", PATH)


def test_the_digest_changes_with_the_page(sound_text: str, sound_page: Page) -> None:
    assert parse_page(sound_text + "\n", PATH).digest != sound_page.digest
