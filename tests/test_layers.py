"""Imports go one way: `rehearsal → runbooks, loadtests → service → infra → vectorfleet`, and likewise within a part."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from infra.boot.artifact import PACKAGES, sources
from tests.pages import ROOT

# The parts that each part may import beside itself.
BELOW = {
    "vectorfleet": set[str](),
    "infra": {"vectorfleet"},
    "policypack": {"infra"},
    "service": {"infra", "vectorfleet"},
    "loadtests": {"service", "infra", "vectorfleet"},
    "runbooks": {"service", "infra", "vectorfleet"},
    "rehearsal": {"runbooks", "loadtests", "service", "infra", "vectorfleet"},
    "benchmarks": {"rehearsal", "loadtests", "service", "infra", "vectorfleet"},
}

# The rooms of a part, which are its folders and the modules beside them, and the rooms that each may import.
ROOMS: dict[str, dict[str, set[str]]] = {
    "infra": {
        "facts": set(),
        "configuration": {"facts"},
        "planning": {"facts", "configuration"},
        "boot": {"facts", "configuration"},
        "components": {"facts", "configuration", "planning", "boot"},
        "program": {"facts", "configuration", "planning", "boot", "components"},
        "stack": {"configuration"},
        "review": {"facts", "configuration", "planning", "program"},
        "operations": {"facts", "configuration", "stack"},
        "__main__": {"configuration", "planning", "program"},
    },
    "rehearsal": {
        "emulator": set(),
        "deployer": set(),
        "narrator": set(),
        "profile": set(),
        "record": set(),
        "charts": set(),
        "report": {"charts", "record"},
        "session": {"emulator"},
        "fleet": {"deployer", "narrator", "session"},
        "steps": {"deployer", "fleet", "narrator", "profile", "record", "session"},
        "blue_green": {"charts", "fleet", "steps"},
        "cli": {"deployer", "emulator", "fleet", "narrator", "session"},
        "job": {
            "blue_green",
            "cli",
            "deployer",
            "fleet",
            "narrator",
            "profile",
            "record",
            "report",
            "session",
            "steps",
        },
    },
    "rehearsal/emulator": {
        "account": set(),
        "processes": set(),
        "corrections": set(),
        "alarms": set(),
        "faults": set(),
        "description_cache": {"faults"},
        "aws": {"account", "alarms", "corrections", "description_cache"},
        "admin": {"aws", "faults"},
        "server": {"account", "admin", "aws", "corrections", "description_cache", "faults"},
        "compute": {"account", "processes"},
        "balancer": {"account"},
        "launch": {"processes"},
        "supervisor": {"launch", "processes"},
        "__main__": {"server"},
    },
    "rehearsal/deployer": {
        "errors": set(),
        "stackfile": {"errors"},
        "launcher": {"errors"},
        "state": {"errors"},
        "translate": {"errors"},
        "cloud": {"errors", "stackfile", "state"},
        "values": {"errors", "state"},
        "removal": {"state"},
        "kind": {"cloud", "errors", "state", "translate"},
        "diff": {"errors", "kind", "state"},
        "resources": {"cloud", "errors", "kind", "state", "translate", "values"},
        "deployment": {"cloud", "diff", "errors", "kind", "removal", "resources", "state"},
        "monitor": {"cloud", "deployment", "errors", "resources", "state", "values"},
        "program": {"monitor", "stackfile"},
        "apply": {"cloud", "deployment", "errors", "launcher", "monitor", "program", "stackfile", "state"},
    },
    "loadtests": {
        "errors": set(),
        "corpora": {"errors"},
        "run": {"corpora", "errors"},
        "golden": {"corpora", "errors", "run"},
        "judge": {"corpora", "run"},
        "generate": {"judge", "run"},
        "options": {"corpora", "errors"},
        "bulk_job": {"corpora", "errors"},
        "document_verbs": {"corpora", "options"},
        "bulk_verb": {"bulk_job", "options"},
        "golden_verb": {"corpora", "golden", "options"},
        "load_verbs": {"corpora", "generate", "golden", "judge", "options", "run"},
        "locustfile": {"errors", "generate", "judge", "run"},
    },
    "service": {
        "storage": set(),
        "wire": {"storage"},
        "tracing": {"wire"},
        "index": {"storage", "wire"},
        "embedding": {"storage"},
        "background": set(),
        "client": set(),
        "cloudwatch": {"storage"},
        "settings": {"storage", "embedding"},
        "tls": {"settings"},
        "logs": {"settings", "tracing"},
        "starts": {"settings", "cloudwatch"},
        "serving": {"settings", "tls", "tracing", "wire"},
        "indexer": {"storage", "index", "embedding", "tracing", "settings", "serving"},
        "node": {"storage", "wire", "tracing", "index", "background", "cloudwatch", "settings", "serving"},
        "router": {
            *("storage", "wire", "tracing", "index", "embedding"),
            *("background", "cloudwatch", "settings", "tls", "serving"),
        },
        "cli": {"storage", "tracing", "settings", "logs", "starts", "indexer", "node", "router"},
    },
    "runbooks": {
        "durations": set(),
        "jsonlines": set(),
        "guard": set(),
        "pages": {"durations", "guard"},
        "runner": {"durations", "guard", "jsonlines", "pages"},
        "fleet": {"durations", "guard"},
        "observe": {"durations", "guard", "jsonlines"},
        "verb_call": {"jsonlines"},
        "slots": {"durations", "fleet", "guard", "verb_call"},
        "faults": {"fleet"},
        "drills": {"durations", "faults", "fleet", "guard", "jsonlines", "observe", "pages", "runner", "verb_call"},
    },
}


def imports(path: Path, *, in_functions: bool = True) -> Iterator[str]:
    """Yield every module that a file imports; of `from a import b` also a.b, which may be a module."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if in_functions else tree.body:
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


def parts(path: Path) -> set[str]:
    """Return the parts of the project that a file imports."""
    return {name.split(".")[0] for name in imports(path)} & BELOW.keys()


def rooms(path: Path, part: str) -> set[str]:
    """Return the rooms of the part that a file imports."""
    package = f"{part.replace('/', '.')}."
    inside = (name.removeprefix(package) for name in imports(path) if name.startswith(package))
    return {name.split(".")[0] for name in inside} & ROOMS[part].keys()


@pytest.mark.parametrize("part", BELOW)
def test_a_part_imports_only_what_lies_below_it(part: str) -> None:
    above = {path.relative_to(ROOT).as_posix(): parts(path) for path in (ROOT / part).rglob("*.py")}
    assert {path: names for path, names in above.items() if names - BELOW[part] - {part}} == {}


@pytest.mark.parametrize("part", ROOMS)
def test_every_folder_and_module_of_a_part_is_a_room(part: str) -> None:
    modules = {path.stem for path in (ROOT / part).glob("*.py")}
    folders = {path.parent.name for path in (ROOT / part).glob("*/*.py")}
    assert (modules | folders) - {"__init__"} == ROOMS[part].keys()


@pytest.mark.parametrize(("part", "room"), [(part, room) for part, table in ROOMS.items() for room in table])
def test_a_room_imports_only_the_rooms_below_it(part: str, room: str) -> None:
    folder = ROOT / part / room
    files = folder.rglob("*.py") if folder.is_dir() else [folder.with_suffix(".py")]
    above = {path.relative_to(ROOT).as_posix(): rooms(path, part) - ROOMS[part][room] - {room} for path in files}
    assert {path: names for path, names in above.items() if names} == {}


@pytest.mark.parametrize("part", ROOMS)
def test_rooms_form_no_circle(part: str) -> None:
    TopologicalSorter(ROOMS[part]).prepare()


def test_an_instance_carries_every_part_that_its_code_imports() -> None:
    wanted = {name for path in sources() if path.endswith(".py") for name in parts(ROOT / path)}
    assert wanted <= {*PACKAGES, "infra"}


def test_an_instance_carries_what_its_code_imports_of_infra() -> None:
    carried = {path for path in sources() if path.endswith(".py")}
    # A function's own import is for callers off the instance, as of the reader of a stack's outputs.
    names = {name for path in carried for name in imports(ROOT / path, in_functions=False) if name.startswith("infra.")}
    files = {f"{name.replace('.', '/')}.py" for name in names}
    assert {file for file in files if (ROOT / file).is_file()} <= carried
