"""Whether a page's command exists: checked against the click commands that would really be called."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator

import click

from vectorfleet import door

PACKAGES = ("infra", "service", "loadtests", "runbooks", "rehearsal", "benchmarks")
BINARIES = ("aws", "curl", "pulumi")
ENTRIES = ("main", "cli")  # what a part calls its group

_SEPARATORS = {"&&", "||", ";", "|"}
_PUNCTUATION = set("();<>|&")
_PLACEHOLDER = re.compile(r"<[A-Za-z][^<>]*>")
_OPAQUE = re.compile(r"\$")


class UnparseableError(Exception):
    """The script uses more of the shell than a page should."""


def problems(script: str) -> Iterator[tuple[int, str]]:
    """Each mistake of a script as (offset of its line from the first, sentence)."""
    for offset, line in _logical_lines(script):
        if found := _PLACEHOLDER.search(line):
            yield offset, f"`{found[0]}` is a placeholder; a page's commands run as they stand"
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
    """Lines with their continuations joined, blank ones and comments left out."""
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
    """The simple commands of a line. Raises UnparseableError for any other part of the shell's language."""
    if "`" in line or "$(" in line:
        raise UnparseableError("a page's command does not run another inside it: no `$(…)`, no backticks")
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        tokens = list(lexer)
    except ValueError as error:
        raise UnparseableError(f"`{line.strip()}` is not closed: {error}") from None
    calls: list[list[str]] = [[]]
    for token in tokens:
        if token in _SEPARATORS:
            calls.append([])
        elif set(token) <= _PUNCTUATION:
            raise UnparseableError(
                f"`{token}` is more shell than a page needs: only `&&`, `||`, `;` and `|` join commands"
            )
        else:
            calls[-1].append(token)
    return calls


def _call_problem(words: list[str]) -> str | None:
    if not words:
        return "an empty command beside `&&`, `||`, `;` or `|`"
    if words[:2] == ["python", "-m"] and len(words) >= 3:
        return _module_problem(words[2], words[3:])
    if words[0] == door.main.name:
        return _verb_problem(words[0], door.main, words[1:])
    if words[0] in BINARIES:
        return None
    return f"`{words[0]}` is not allowed: `vectorfleet VERB`, `python -m PACKAGE VERB`, or one of {', '.join(BINARIES)}"


def _module_problem(package: str, words: list[str]) -> str | None:
    if package not in PACKAGES:
        return f"`python -m {package}`: the packages are {', '.join(PACKAGES)}"
    try:
        group = group_of(package)
    except LookupError as error:
        return str(error)
    return _verb_problem(f"python -m {package}", group, words)


def _verb_problem(called: str, group: click.Group, words: list[str]) -> str | None:
    context = click.Context(group, info_name=called)
    verbs = ", ".join(sorted(group.list_commands(context)))
    if not words:
        return f"`{called}` needs a verb: {verbs}"
    command = group.get_command(context, words[0])
    if command is None:
        return f"`{called}` has no verb `{words[0]}`: {verbs}"
    called = f"{called} {words[0]}"
    if isinstance(command, click.Group):
        return _verb_problem(called, command, words[1:])
    return _arguments_problem(called, command, words[1:])


def group_of(package: str) -> click.Group:
    """The click group that `python -m package` calls, from its `__main__` or `cli`. Raises LookupError."""
    groups: list[click.Group] = []
    for name in ("__main__", "cli"):
        if importlib.util.find_spec(f"{package}.{name}"):
            module = importlib.import_module(f"{package}.{name}")
            groups += [value for key in ENTRIES if isinstance(value := getattr(module, key, None), click.Group)]
    if not groups:
        raise LookupError(f"`python -m {package}` has no click group, so its verbs can't be checked")
    return groups[0]


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
    # What a variable or a file will hold is known only when the page is run.
    if _OPAQUE.search(str(value)) or isinstance(parameter.type, click.Path | click.File):
        return None
    try:
        parameter.type_cast_value(context, value)
    except click.UsageError as error:
        return f"`{called}`: {error.format_message()}"
    return None
