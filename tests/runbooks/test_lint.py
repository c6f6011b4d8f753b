"""What lint refuses beyond the grammar, and that every page of the project is clean."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks.drills.settings import PAGES
from runbooks.runner.lint import check, check_file, main_path
from runbooks.runner.page import Page, parse_page

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


FLEET = "python -m runbooks fleet\n```"
WRONG = [
    (FLEET, "python -m runbooks flet\n```", 14, "no verb `flet`"),
    (FLEET, "python -m runbooks fleet --fild state\n```", 14, "--fild"),
    (FLEET, "python -m runbooks fleet --field colour\n```", 14, "colour"),
    (FLEET, "python -m runbooks fleet extra\n```", 14, "no argument `extra`"),
    (FLEET, "python -m runbooks wait\n```", 14, "needs"),
    (FLEET, "python -m runbooks\n```", 14, "needs a verb"),
    (FLEET, "python -m nothing fleet\n```", 14, "the packages are"),
    (FLEET, "python -m runbooks fleet\nrm -rf /\n```", 15, "`rm` is not allowed"),
    (FLEET, "python -m runbooks fleet --outputs <file>\n```", 14, "placeholder"),
    (FLEET, "python -m runbooks fleet > out\n```", 14, "more shell"),
    (FLEET, "python -m runbooks fleet &\n```", 14, "more shell"),
    (FLEET, "python -m runbooks fleet $(ls)\n```", 14, "no `$(…)`"),
    (FLEET, "python -m runbooks fleet 'open\n```", 14, "not closed"),
    (FLEET, "python -m runbooks fleet &&\n```", 14, "empty command"),
    ("fleet --field state`", "fleet --field sate`", 17, "sate"),
    ("`python -m runbooks groups`", "`python -m runbooks grups`", 21, "no verb `grups`"),
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


def test_a_step_that_no_way_leads_to_is_refused(sound_text: str) -> None:
    lonely = sound_text.replace("go to 1, at most 2 times, then go to 3", "go to 4").replace("go to 3", "go to 4")
    found = messages(lonely + "\n## 4. Other\n\n- Person: call.\n")
    assert [message for _, message in found] == ["no way leads to step 3"]


def test_a_last_step_with_commands_says_where_it_ends(sound_text: str) -> None:
    found = messages(sound_text[: sound_text.index("- Then: done")].replace("go to 3", "go to 2"))
    assert any("- Then: done" in message for _, message in found)


def test_a_page_is_named_as_it_says(sound_text: str) -> None:
    page = parse_page(sound_text, Path("RB-08-something.md"))
    assert ["its file is named" in problem.message for problem in check(page)] == [True]


def test_a_mistake_of_grammar_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "RB-07-x.md"
    path.write_text("# nothing\n")
    assert [(problem.line, str(problem).startswith(str(path))) for problem in check_file(path)] == [(1, True)]


def test_the_main_path_leaves_out_what_only_failures_lead_to(sound_page: Page) -> None:
    assert [step.number for step in main_path(sound_page)] == [1, 2]


def test_what_a_variable_holds_is_not_judged(sound_text: str) -> None:
    known = sound_text.replace(FLEET, 'python -m runbooks probe --window "${WINDOW:-60s}"\n```', 1)
    assert messages(known) == []


def test_continued_lines_are_one_command(sound_text: str) -> None:
    split = sound_text.replace(FLEET, "python -m runbooks \\\n  fleet\n```", 1)
    assert messages(split) == []
