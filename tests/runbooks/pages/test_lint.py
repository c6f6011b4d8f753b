"""The mistakes that lint refuses beyond the grammar, and clean pages of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks.pages.lint import check, check_file, main_path
from runbooks.pages.page import PAGES, Page, parse_page

PATH = Path("RB-07-something.md")


def messages(text: str) -> list[tuple[int, str]]:
    return [(problem.line, problem.message) for problem in check(parse_page(text, PATH))]


def test_a_sound_page_has_no_problem(sound_page: Page) -> None:
    assert check(sound_page) == []


@pytest.mark.parametrize("page", sorted(PAGES.glob("RB-*.md")), ids=lambda page: page.stem)
def test_every_page_of_the_project_is_clean(page: Path) -> None:
    assert [str(problem) for problem in check_file(page)] == []


def test_there_are_pages() -> None:
    assert list(PAGES.glob("RB-*.md"))


FLEET = "vectorfleet fleet\n```"
WRONG = [
    (FLEET, "vectorfleet flet\n```", 14, "no verb `flet`"),
    (FLEET, "vectorfleet fleet --fild state\n```", 14, "--fild"),
    (FLEET, "vectorfleet fleet --field colour\n```", 14, "colour"),
    (FLEET, "vectorfleet fleet extra\n```", 14, "no argument `extra`"),
    (FLEET, "vectorfleet wait\n```", 14, "needs"),
    (FLEET, "vectorfleet\n```", 14, "needs a verb"),
    (FLEET, "python -m infra plan\n```", 14, "`python` is not allowed"),
    (FLEET, "vectorfleet grph\n```", 14, "no verb `grph`"),
    (FLEET, "vectorfleet fleet\nrm -rf /\n```", 15, "`rm` is not allowed"),
    (FLEET, "vectorfleet fleet --outputs <file>\n```", 14, "placeholder"),
    (FLEET, "vectorfleet fleet > out\n```", 14, "more shell"),
    (FLEET, "vectorfleet fleet &\n```", 14, "more shell"),
    (FLEET, "vectorfleet fleet $(ls)\n```", 14, "no `$(…)`"),
    (FLEET, "vectorfleet fleet 'open\n```", 14, "not closed"),
    (FLEET, "vectorfleet fleet &&\n```", 14, "command is missing"),
    ("fleet --field state`", "fleet --field sate`", 17, "sate"),
    ("`vectorfleet groups`", "`vectorfleet grups`", 21, "no verb `grups`"),
    ("- Expect: exit 0\n", "", 21, "no `- Expect"),
    ("- Budget: 1m\n", "", 9, "no `- Budget"),
    ("- If not: go to 3\n", "", 9, "no `- If not"),
    ("- If not: go to 3\n", "- If not: go to 8\n", 19, "no step 8"),
    ("go to 1, at most 2 times, then go to 3", "go to 1", 9, "for ever"),
    ("then go to 3\n- Then: done", "then go to 3\n- Then: go to 1", 9, "for ever"),
    ("Budget: 2m", "Budget: 20m", 9, "longer than the RTO"),
    ("within 20s", "within 2m", 17, "longer than the step's budget"),
    ("- Person: call somebody.\n", "- Why: nobody.\n", 33, "neither commands nor"),
    ("- Person: call somebody.\n", "- Person: call.\n- Budget: 1m\n", 33, "only `Why` and `Person`"),
    ("- Then: done\n", "- Then: done\n- Person: me.\n", 21, "a step of its own"),
    ("`…-error-rate`", "that", 1, "names no alarm"),
    ("```sh\n", '```sh {"name": "look"}\n', 21, "named `look`"),
]


@pytest.mark.parametrize(("old", "new", "line", "word"), WRONG)
def test_a_wrong_page_is_refused_with_its_line(sound_text: str, old: str, new: str, line: int, word: str) -> None:
    assert old in sound_text
    found = messages(sound_text.replace(old, new, 1))
    assert any(at == line and word in message for at, message in found), found


def test_a_step_that_no_jump_leads_to_is_refused(sound_text: str) -> None:
    lonely = sound_text.replace("go to 1, at most 2 times, then go to 3", "go to 4").replace("go to 3", "go to 4")
    found = messages(lonely + "\n## 4. Other\n\n- Person: call.\n")
    assert [message for _, message in found] == ["no jump leads to step 3; add one or delete the step"]


def test_a_last_step_with_commands_needs_then(sound_text: str) -> None:
    found = messages(sound_text[: sound_text.index("- Then: done")].replace("go to 3", "go to 2"))
    assert any("- Then: done" in message for _, message in found)


def test_the_file_name_begins_with_the_page_number(sound_text: str) -> None:
    page = parse_page(sound_text, Path("RB-08-something.md"))
    assert ["so name its file" in problem.message for problem in check(page)] == [True]


def test_a_mistake_of_grammar_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "RB-07-x.md"
    path.write_text("# nothing\n")
    assert [(problem.line, str(problem).startswith(str(path))) for problem in check_file(path)] == [(1, True)]


def test_the_main_path_has_no_step_for_failures(sound_page: Page) -> None:
    assert [step.number for step in main_path(sound_page)] == [1, 2]


def test_the_value_of_a_variable_is_not_checked(sound_text: str) -> None:
    known = sound_text.replace(FLEET, 'vectorfleet probe --window "${WINDOW:-60s}"\n```', 1)
    assert messages(known) == []


def test_continued_lines_are_one_command(sound_text: str) -> None:
    split = sound_text.replace(FLEET, "vectorfleet \\\n  fleet\n```", 1)
    assert messages(split) == []
