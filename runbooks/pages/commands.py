"""The check of a page's commands against the verbs that they call."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

from vectorfleet import door

BINARIES = ("aws", "curl", "pulumi")

_SEPARATORS = {"&&", "||", ";", "|"}
_PUNCTUATION = set("();<>|&")
_PLACEHOLDER = re.compile(r"<[A-Za-z][^<>]*>")
_OPAQUE = re.compile(r"\$")


class UnparseableError(Exception):
    """A shell construct that no page may use."""


def problems(script: str) -> Iterator[tuple[int, str]]:
    """Yield each mistake of a script: its line, counted from 0, and a sentence."""
    for offset, line in _logical_lines(script):
        if found := _PLACEHOLDER.search(line):
            yield offset, f"`{found[0]}` is a placeholder; write a command that runs as it stands"
            continue
        try:
            calls = _calls(line)
        except UnparseableError as error:
            yield offset, str(error)
            continue
        for words in calls:
            if problem := _call_problem(words):
                yield offset, problem


def _logical_lines(script: str) -> Iterator[tuple[int, str]]:
    """Yield the lines with their continuations joined, without blank lines and comments."""
    start, pending = 0, ""
    for offset, line in enumerate(script.splitlines()):
        if not pending:
            start = offset
        pending += line.removesuffix("\\")
        if line.endswith("\\"):
            continue
        if pending.strip() and not pending.lstrip().startswith("#"):
            yield start, pending
        pending = ""
    if pending.strip():
        yield start, pending


def _calls(line: str) -> list[list[str]]:
    """Split a line into simple commands. Raises UnparseableError for any other shell construct."""
    if "`" in line or "$(" in line:
        raise UnparseableError("a command must not contain another one: no `$(…)`, no backticks")
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        tokens = list(lexer)
    except ValueError as error:
        raise UnparseableError(f"`{line.strip()}` has a quote that is not closed: {error}") from None
    calls: list[list[str]] = [[]]
    for token in tokens:
        if token in _SEPARATORS:
            calls.append([])
        elif set(token) <= _PUNCTUATION:
            raise UnparseableError(
                f"`{token}` is more shell than a page may use; join commands with `&&`, `||`, `;` or `|`"
            )
        else:
            calls[-1].append(token)
    return calls


def _call_problem(words: list[str]) -> str | None:
    if not words:
        return "a command is missing beside `&&`, `||`, `;` or `|`"
    if words[0] == door.main.name:
        return _verb_problem(words[0], door.main, words[1:])
    if words[0] in BINARIES:
        return None
    allowed = ("vectorfleet VERB", *BINARIES)
    return f"`{words[0]}` is not allowed; write one of {', '.join(allowed)}"


def _verb_problem(called: str, group: click.Group, words: list[str]) -> str | None:
    context = click.Context(group, info_name=called)
    verbs = ", ".join(sorted(group.list_commands(context)))
    if not words:
        return f"`{called}` needs a verb; the verbs are {verbs}"
    command = group.get_command(context, words[0])
    if command is None:
        return f"`{called}` has no verb `{words[0]}`; the verbs are {verbs}"
    called = f"{called} {words[0]}"
    if isinstance(command, click.Group):
        return _verb_problem(called, command, words[1:])
    return _arguments_problem(called, command, words[1:])


def _arguments_problem(called: str, command: click.Command, words: list[str]) -> str | None:
    context = click.Context(command, info_name=called)
    try:
        values, left_over, _order = command.make_parser(context).parse_args(list(words))
    except click.UsageError as error:
        return f"`{called}`: {error.format_message()}"
    if left_over:
        return f"`{called}` takes no argument `{left_over[0]}`"
    for parameter in command.params:
        value = values.get(parameter.name or "")
        if problem := _value_problem(called, context, parameter, value):
            return problem
    return None


def _value_problem(called: str, context: click.Context, parameter: click.Parameter, value: object) -> str | None:
    given = isinstance(value, str | list | tuple) and bool(value)
    if not given:
        missing = parameter.required and not parameter.envvar and not isinstance(value, bool | int)
        return f"`{called}` needs {parameter.make_metavar(context)}" if missing else None
    # Values of variables and files are known only when the page runs.
    if _OPAQUE.search(str(value)) or isinstance(parameter.type, click.Path | click.File):
        return None
    try:
        parameter.type_cast_value(context, value)
    except click.UsageError as error:
        return f"`{called}`: {error.format_message()}"
    return None
