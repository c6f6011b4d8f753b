"""Tests that documentation and code have the same names and values, and that every link resolves."""

from __future__ import annotations

import ast
import json
import re
import tomllib
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import BaseModel

from infra.configuration.settings import Settings
from infra.facts import slo
from infra.review.graph import graph
from infra.review.recording import Recording
from loadtests.run.settings import option_fields, option_name
from rehearsal.profile import PROFILES
from runbooks.drills.losses import Fate
from runbooks.drills.settings import DrillFiles
from runbooks.pages import commands
from runbooks.pages.page import HEADER_BULLETS, STEP_BULLETS
from service.index import filters, structures
from service.router import write_queue
from service.router.api import requests
from service.storage import documents, metadata, shards, snapshot
from service.storage.entry import Header
from service.wire import limits
from service.wire.protocol import MOST_HEAD_BYTES
from tests.pages import FENCE, PAGES, ROOT, all_pages, codes, first_codes, rows, section, shell_commands, text
from tests.service.emitted import emitted
from tests.service.routes import KINDS, bare
from vectorfleet import door
from vectorfleet.verdicts import Verdict

DECISIONS = [page for page in PAGES if page.startswith("docs/adr/0")]
PARTS = ("infra", "service", "loadtests", "runbooks", "rehearsal", "benchmarks", "policypack")
DECISION_PARTS = ["Context", "Options", "Decision", "Consequences"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS: dict[str, list[str]] = {"Every part": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
OTHER_TOOLS = ("aws", "curl", "eval", "export", "pulumi", "locust", ".")
every_page = pytest.mark.parametrize("page", PAGES)


@cache
def recorded() -> Recording:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the SDK's own, when a module of it is first used
        return graph("rehearsal")


@cache
def complete() -> Recording:
    """Return the resources of the stack that has everything but a batch."""
    recorded()  # so that the SDK's warnings are over
    return graph("large")


@cache
def makefile() -> dict[str, set[str]]:
    found = text("Makefile")
    targets = set(re.findall(r"^([a-z-]+):", found, re.MULTILINE))
    return {"targets": targets, "variables": set(re.findall(r"^([A-Z]+) \?=", found, re.MULTILINE)) | {"NAME"}}


def configuration() -> Iterator[tuple[str, str, str]]:
    """Yield each key with its default, as the page writes it, and its allowed values."""
    for field in Settings.model_fields.values():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            for name, part in type(default).model_fields.items():
                value = getattr(default, name)
                shown = "none" if value is None else f"`{json.dumps(value, default=lambda _: {})}`"
                yield f"{field.alias}.{part.alias}", shown, str(part.description)
        else:
            shown = "none" if default is None else f"`{json.dumps(default)}`"
            yield str(field.alias), "required" if field.is_required() else shown, str(field.description)


def test_configuration_keys_with_their_defaults() -> None:
    table = rows(section("docs/infrastructure.md", "Configuration"))
    assert [tuple(row[:3]) for row in table] == [(f"`{key}`", *rest) for key, *rest in configuration()]


def test_stack_outputs_and_parameters() -> None:
    found = complete().outputs
    assert first_codes(section("docs/infrastructure.md", "Outputs")) == found.keys() | found["slots"]["blue"].keys()
    written = {row[0].strip("`"): codes(row[1]) for row in rows(section("docs/infrastructure.md", "Parameters"))}
    inputs = [one.inputs for one in recorded().of_type("aws:ssm/parameter:Parameter")]
    assert written == {one["name"].rsplit("/", 1)[1]: set(json.loads(one["value"])) for one in inputs}


def test_components_and_resource_types() -> None:
    page = section("docs/infrastructure.md", "What is created")
    made = [one for one in complete().resources if not one.type.startswith("pulumi:providers:")]
    kinds = {(one.type.rsplit(":", 1)[1].removesuffix("v2"), one.custom) for one in made}
    assert {name for name, _ in kinds} <= {name.removesuffix("v2") for name in codes(page)}
    assert {name for name, custom in kinds if not custom} == first_codes(page.split("###")[0])


def test_alarms_with_their_metrics_and_runbooks() -> None:
    table = {row[0].strip("`"): row for row in rows(section("docs/infrastructure.md", "Alarms")) if "…-" in row[0]}
    found = [one.inputs for one in complete().of_type("aws:cloudwatch/metricAlarm:MetricAlarm")]
    named = set()
    for alarm in found:
        ending = re.sub("-(launch-failures|replication-failed|replication-late)-.*", r"-\1-…", alarm["name"])
        row = table["…" + ending.removeprefix("large-blue").removeprefix("large-fleet")]
        named.add(row[0].strip("`"))
        metrics = {query["metric"]["metricName"] for query in alarm.get("metricQueries", ()) if "metric" in query}
        assert codes(row[1]) == metrics | ({alarm["metricName"]} if "metricName" in alarm else set())
        assert {"breaching": "alarm", "notBreaching": "OK", "missing": "no change"}[alarm["treatMissingData"]] == row[
            2
        ].split(",")[0]
        assert alarm["alarmDescription"].rsplit(" ", 1)[1] in row[3]
    assert named == table.keys()


def test_targets_and_alerts() -> None:
    units = {"share": "", "%": " %", "ms": " ms", "tokens": ""}
    opposite = {"below": "above", "above": "below"}
    for one in slo.TABLE:
        target, alert = (f"{value:g}{units[one.unit]}" for value in (one.target, one.alert))
        wanted = [one.title, f"{one.direction} {target}", f"{opposite[one.direction]} {alert}"]
        assert wanted in rows(section("docs/infrastructure.md", "Alarms"))


def prometheus_metrics() -> set[str]:
    trees = [ast.parse(path.read_text()) for path in (ROOT / "service").rglob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    kinds = ("Counter", "Gauge", "Histogram")
    first = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id in kinds]
    return {str(one.value) for one in first if isinstance(one, ast.Constant)}


def test_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = {(f"`{datum['MetricName']}`", datum["Unit"]) for datum in emitted(monkeypatch)}
    table = rows(section("docs/operations.md", "Metrics"))
    assert prometheus_metrics() == {row[0].strip("`") for row in table if row[0].startswith("`vectorfleet_")}
    assert sent == {(row[0], row[1]) for row in table if len(row) == 3}


def test_spans_with_what_they_say() -> None:
    trees = [ast.parse(path.read_text()) for path in (ROOT / "service").rglob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = [call for call in calls if re.fullmatch(r"spans\.(span|call|shared)", ast.unparse(call.func))]
    names = {ast.literal_eval(call.args[0]) for call in made}
    said = {word.arg for call in made for word in call.keywords if word.arg}
    page = section("docs/operations.md", "Traces")
    table = {code for row in rows(page) for code in codes(row[0]) if code.islower()}
    assert (names, said - codes(page)) == (table, set())


def test_api_routes_and_members() -> None:
    page = text("docs/api.md")
    for route in bare(*KINDS):
        assert f"{max((route.methods or set()) - {'HEAD'})} {route.path.replace(':any', '')}" in page
    for shape in (requests.DocumentWrite, requests.LookupRequest, requests.SearchRequest):
        for member in shape.__struct_fields__:
            assert f"`{member}`" in page or f'"{member}"' in page, member


def test_limits() -> None:
    characters = f"{limits.MAX_SOURCE_ID}, {limits.MAX_TITLE}, 128 characters"
    assert dict(rows(section("docs/api.md", "Limits"))) == {
        "head of a request": f"{MOST_HEAD_BYTES >> 10} KiB, beyond what comes with its first bytes",
        "request body": f"{limits.MAX_BODY_BYTES >> 20} MiB",
        "documents in a write, source_ids in a look-up": f"{limits.MAX_BATCH}",
        "snapshots in a list, of each shard": f"{limits.MAX_SNAPSHOTS}",
        "searches in a batch": f"{limits.MAX_SEARCHES}, with {limits.MAX_QUERY} characters of text in all",
        "size of a write in the log": f"{write_queue.COMMIT_BYTES >> 20} MiB",
        "`source_id`, `title`, `request_id`": characters,
        "`text` of a document": f"{limits.MAX_TEXT_BYTES >> 20} MiB",
        "`metadata` of a document": f"{metadata.MOST_FIELDS} fields with names of {metadata.MOST_NAME} characters, "
        f"{metadata.MOST_BYTES} bytes as JSON, numbers up to 2^53",
        "`filter`": f"{metadata.MOST_FIELDS} fields, {filters.MOST_CONDITIONS} conditions, {filters.MOST_IN} values of "
        f"`in`, texts of {filters.MOST_TEXT} characters",
        "`text` of a search": f"{limits.MAX_QUERY} characters",
        "components of a vector": f"from -{limits.MAX_COMPONENT:.0e} to {limits.MAX_COMPONENT:.0e}".replace(
            "1e+", "10^"
        ),
        "`k`": f"{limits.MAX_K}",
    }


def test_protocol_keys_and_fields() -> None:
    store: Any = None
    build = "b-1f2e3d4c5b6a"
    keys = {documents.documents_log(store).key(42), shards.shard_log(store, build, 0, 2).key(7)}
    keys |= {snapshot.prefix_of(build, 0) + "<name>/", snapshot.ROWS_FILE, *structures.FILES.values()}
    columns = {*documents.SCHEMA.names, *shards.schema(2).names}
    fields = {*Header.__struct_fields__, *snapshot.Manifest.__struct_fields__, *snapshot.File.__struct_fields__}
    assert keys | columns | fields <= codes(text("docs/protocol.md"))


def test_make_targets_and_options() -> None:
    assert makefile()["targets"] <= set(re.findall(r"make ([a-z-]+)", all_pages()))
    wanted = [
        [f"`{option_name(one.name)}`", f"`{one.default}`" if one.default != "" else "none", one.metadata["help"]]
        for one in option_fields()
    ]
    assert rows(section("docs/loadtests.md", "Options")) == wanted


def is_verb(group: Any, words: list[str]) -> bool:
    """Return whether the words name a verb, or a verb of a family, and nothing more."""
    found = group
    for word in words:
        found = found.get_command(click.Context(found), word) if isinstance(found, click.Group) else None
    return found is not None


def problem(command: str) -> str | None:
    words = command.removeprefix(".venv/bin/").split("#")[0].removesuffix(" --help").split()
    if words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        given = {word.split("=")[0] for word in words[1:] if "=" in word}
        return None if {*targets} <= makefile()["targets"] and given <= makefile()["variables"] else "no such target"
    if words[:2] == ["python", "-m"] and words[2] in ("infra", door.main.name):
        words = [str(door.main.name), *words[3:]]
    # A family or a verb may be named alone; whatever says more has to be callable as it stands.
    if words[0] == door.main.name:
        return None if is_verb(door.main, words[1:]) else first_problem(words)
    return None if words[0] in OTHER_TOOLS else f"{words[0]} is not a known tool"


def first_problem(words: list[str]) -> str | None:
    return next((said for _, said in commands.problems(" ".join(words).split(" > ")[0])), None)


@every_page
def test_commands_shown_exist(page: str) -> None:
    assert {command: said for command in shell_commands(page) if (said := problem(command))} == {}


def slugs(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text(page))):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = ROOT / page if not name else (ROOT / page).parent / name
        assert target.is_file(), link
        assert not anchor or anchor in slugs(target), link


@every_page
def test_files_named_exist_and_lines_are_short(page: str) -> None:
    prefixes = (*PARTS, "tests", "docs")
    named = {code for code in codes(text(page)) if re.fullmatch(rf"({'|'.join(prefixes)})/[\w./-]*", code)}
    assert {name for name in named if not (ROOT / name).exists()} == set()
    prose = [line for line in text(page).splitlines() if not line.startswith("|")]
    assert [line for line in prose if len(line) > 120] == []


def test_changelog_has_the_version_and_single_lines() -> None:
    _, *releases = text("CHANGELOG.md").split("\n## ")
    versions = re.findall(r"^\[(.+)\]", "\n".join(releases), re.MULTILINE)
    assert versions[:2] == ["Unreleased", PROJECT["version"]]
    lines = [line for release in releases for line in release.splitlines()[1:] if line]
    assert [line for line in lines if not line.startswith(("#", "- "))] == []


def test_ci_and_hooks_run_the_make_targets() -> None:
    targets = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]["make"]["strategy"]["matrix"]["target"]
    assert {f"make {target}": problem(f"make {target}") for target in targets} == dict.fromkeys(
        ["make lint", "make types", "make test", "make rehearse PROFILE=short"]
    )
    (local,) = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    hooks = [hook["entry"].replace(".venv/bin", "$(BIN)").removesuffix(" --force-exclude") for hook in local["hooks"]]
    assert re.findall(r"^\t@(\$\(BIN\)/(?:ruff|mypy).*?)(?: \.)?$", text("Makefile"), re.MULTILINE) == hooks


def test_guarantees_are_held_by_tests_that_exist() -> None:
    promised = text("docs/guarantees.md").split("\n## ")[1:]
    held = {part.splitlines()[0]: re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", part) for part in promised}
    assert [promise for promise, tests in held.items() if not tests] == ["Not promised"]
    for file, name in (test for tests in held.values() for test in tests):
        assert re.search(rf"^def {name}\(", text(file), re.MULTILINE), f"{file} has no {name}"


def test_direct_dependencies() -> None:
    for group, wanted in GROUPS.items():
        names = {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted}
        assert {row[0] for row in rows(section("docs/dependencies.md", group))} == names, group


def test_decisions() -> None:
    index = re.findall(r"\((\d{4}-[\w-]+\.md)\)", text("docs/adr/README.md"))
    assert [f"docs/adr/{name}" for name in index] == DECISIONS
    for number, page in enumerate(DECISIONS, start=1):
        assert text(page).startswith(f"# {number:04d}: ")
        assert Path(page).name.startswith(f"{number:04d}-")
        assert re.findall(r"^## (\w+)", text(page), re.MULTILINE) == DECISION_PARTS
        assert len(text(page).splitlines()) <= 60, f"{page} is more than a page"


def test_runbook_grammar_fates_files_and_verdicts() -> None:
    page = text("docs/runbooks.md")
    assert {f"- {bullet}:" for bullet in (*HEADER_BULLETS, *STEP_BULLETS)} <= codes(page)
    assert {fate.value for fate in Fate} == {row[0] for row in rows(section("docs/runbooks.md", "RPO"))}
    assert {path.name for path in DrillFiles(Path()).paths} <= codes(section("docs/runbooks.md", "Files"))
    for name, heading, left_out in (
        ("docs/runbooks.md", "Verdict", {"UNDECIDED"}),
        ("docs/loadtests.md", "Verdicts", {"ABORTED", "NOT-RUN"}),
    ):
        wanted = [[one.value, str(int(one.exit_code))] for one in Verdict if one.value not in left_out]
        assert [row[:2] for row in rows(section(name, heading))][:-1] == wanted
    assert {path.name for path in (ROOT / "runbooks").glob("RB-*.md")} == set(re.findall(r"RB-\d\d-[\w-]+\.md", page))


def test_profiles_variables_and_the_length_of_the_readme() -> None:
    assert f"\n| | {' | '.join(PROFILES)} |\n" in text("docs/rehearsal.md")
    sources = [path for part in PARTS for kind in ("*.py", "*.sh", "*.md") for path in (ROOT / part).rglob(kind)]
    used = {name for path in sources for name in re.findall(r"VECTORFLEET_[A-Z_]*[A-Z]", path.read_text())}
    assert used <= codes(all_pages())
    assert len(text("README.md").splitlines()) <= 200
