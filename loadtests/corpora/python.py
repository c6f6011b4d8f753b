"""The corpus of the documentation inside the Python interpreter: docstrings of its library, topics of its language.

Another version of Python has other documents. Modules written in C (math, itertools, the built-in types) have no source
there, so only the topics cover them.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
import warnings
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path

from loadtests.corpora import questions as question_set
from loadtests.corpora.corpus import CorpusError, Document
from loadtests.corpora.docstrings import Docstring, docstrings, reexports
from loadtests.corpora.wording import prose, words

LIBRARY = Path(sysconfig.get_path("stdlib"))
QUESTIONS = Path(__file__).with_name("python_questions.yaml")
# For a short rehearsal, with the topics.
_SMALL = (
    "argparse asyncio base64 calendar codecs collections concurrent configparser contextlib copy csv datetime "
    "difflib email enum functools getpass glob hashlib heapq http inspect ipaddress json locale logging os pathlib "
    "pickle random re secrets shelve shutil smtplib socket socketserver statistics string subprocess tempfile "
    "textwrap threading timeit traceback types unittest urllib uuid venv warnings webbrowser zipfile zoneinfo"
)
SMALL = frozenset(_SMALL.split())
# Modules that are imported under another name: Python versions of C modules, and parts of os.path.
_HOMES = {
    "_pydatetime": "datetime",
    "_pydecimal": "decimal",
    "_pyio": "io",
    "genericpath": "os.path",
    "posixpath": "os.path",
}
# Tests, programs and their examples, generated tables, modules that are not meant for use.
_NOT_MEANT = (
    "test tests idlelib lib2to3 turtledemo ensurepip encodings pydoc_data distutils site-packages __phello__ "
    "__hello__ antigravity this ntpath nturl2path"
)
_LEFT_OUT = frozenset(_NOT_MEANT.split())


class PythonDocumentation:
    """
    Documents from the standard library's source below `root`, by module and name, then its topics.

    `modules` keeps only these modules and packages, and all topics.
    """

    name = "python"
    prefix = "python/"
    examples = (
        "write an object as JSON text",
        "remove a folder with everything in it",
        "run another program and read what it prints",
        "what does the with statement do",
        "wait for several coroutines at once",
    )

    def __init__(
        self, modules: Collection[str] | None = None, questions: Path = QUESTIONS, root: Path = LIBRARY
    ) -> None:
        self._modules = modules
        self._questions = questions
        self._root = root

    @property
    def contents(self) -> str:
        """A noun for the documents, with the version of Python."""
        return f"entries of the documentation inside Python {sys.version_info.major}.{sys.version_info.minor}"

    def documents(self, limit: int | None = None) -> Iterator[Document]:
        """Yield a document for each documented public module, class, function and method, and for each topic.

        Their ids are like "python/json.dumps" and "python/topic/assignment".
        """
        return islice(self._read[0], limit)

    def fresh(self, limit: int | None = None) -> Iterator[Document]:
        """Yield a document for each documented private module, class, function and method: "python-private/<name>"."""
        return islice(self._read[1], limit)

    def questions(self) -> tuple[question_set.Question, ...]:
        """Return the questions that a document of the modules or a topic answers."""
        asked = question_set.load(self._questions)
        if self._modules is None and self._questions == QUESTIONS:
            return asked
        if self._questions != QUESTIONS:
            whole = PythonDocumentation(root=self._root) if self._modules is not None else self
            question_set.refuse_unknown(asked, {one.source_id for one in whole.documents()}, self._questions)
        known = {one.source_id for one in self.documents()}
        return question_set.answerable(asked, lambda question: question.documents & known, self.contents)

    @cached_property
    def _read(self) -> tuple[list[Document], list[Document]]:
        """Public documents and private ones."""
        public: dict[str, Document] = {}
        private: dict[str, Document] = {}
        for home, found in self._docstrings():
            hidden = found.private or any(part.startswith("_") for part in home.split("."))
            document = _document("python-private/" if hidden else self.prefix, home, found)
            if document.text:
                # A name may be defined twice, by platform or as getter and setter; the first definition counts.
                (private if hidden else public).setdefault(document.source_id, document)
        return [*public.values(), *self._topics()], list(private.values())

    def _docstrings(self) -> Iterator[tuple[str, Docstring]]:
        """Yield each docstring with the module that it is imported from."""
        given: dict[str, Mapping[str, frozenset[str]]] = {}
        for module, path in self._sources():
            tree = _parsed(path)
            if path.stem == "__init__":
                given[module] = reexports(module, tree)
            package = module.rpartition(".")[0]
            lifted = given.get(package, {}).get(module, frozenset())
            for found in docstrings(tree):
                from_package = found.name and ("*" in lifted or found.name.split(".")[0] in lifted)
                yield package if from_package else _HOMES.get(module, module), found

    def _sources(self) -> list[tuple[str, Path]]:
        """Return modules with their files, a package before its modules."""
        found = {_module(path.relative_to(self._root)): path for path in self._root.rglob("*.py")}
        named = {module: path for module, path in found.items() if _is_meant(module)}
        if not named:
            raise CorpusError(f"{self._root} holds no source of the standard library; install it with the interpreter.")
        chosen = sorted(named, key=lambda module: module.split("."))
        return [(module, named[module]) for module in chosen if self._modules is None or _top(module) in self._modules]

    def _topics(self) -> Iterator[Document]:
        path = self._root / "pydoc_data" / "topics.py"
        for name, text in sorted(_topics(path).items()):
            # The first paragraph is the heading, with rules around it.
            heading, _, rest = text.strip().partition("\n\n")
            yield Document(f"{self.prefix}topic/{name}", prose(heading).rstrip("."), prose(rest) or prose(heading))


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _top(module: str) -> str:
    return _HOMES.get(module, module).split(".")[0]


def _is_meant(module: str) -> bool:
    parts = module.split(".")
    return parts[0] in sys.stdlib_module_names and not _LEFT_OUT.intersection(parts)


def _document(prefix: str, home: str, found: Docstring) -> Document:
    """Return the document of a docstring; its text is empty if the docstring is only an example."""
    if not found.name:
        return Document(f"{prefix}{home}", f"{home} module", prose(found.text))
    said = ", ".join(words(part) or part for part in found.name.split("."))
    return Document(f"{prefix}{home}.{found.name}", f"{home}: {said}", prose(found.text))


def _parsed(path: Path) -> ast.Module:
    try:
        with warnings.catch_warnings():
            # Warnings about the library's source are not for the user.
            warnings.simplefilter("ignore")
            return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise CorpusError(f"{path} cannot be read as Python source: {error}.") from error


def _topics(path: Path) -> dict[str, str]:
    tables = [node.value for node in _parsed(path).body if isinstance(node, ast.Assign)]
    try:
        (table,) = (ast.literal_eval(table) for table in tables)
        return {str(name): str(text) for name, text in table.items()}
    except (ValueError, AttributeError) as error:
        raise CorpusError(f"{path} has no table of topics: {error}.") from error
