"""The corpus of the AWS API reference, which botocore ships."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path
from typing import Any

import botocore

from loadtests.corpora import questions as question_set
from loadtests.corpora.corpus import CorpusError, Document
from loadtests.corpora.wording import closed, words

BOTOCORE_DATA = Path(str(botocore.__file__)).parent / "data"
QUESTIONS = Path(__file__).with_name("aws_questions.yaml")
# For a short rehearsal: a seventh of the operations, which half of the questions are about.
SMALL = ("ec2", "s3", "iam", "lambda", "rds", "dynamodb", "sqs", "sns", "kms", "cloudwatch", "logs", "route53")
# Counted before the HTML is stripped; shorter ones say little more than the parameter's name.
SHORTEST_PARAMETER_CHARS = 81

_BLOCK_TAGS = "p li ul ol dl dt dd h1 h2 h3 h4 div pre br table tr td th note important"
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_VENDOR = re.compile(r"\b(Amazon|AWS)(?=[A-Z][a-z])")


class _PlainText(HTMLParser):
    """A parser that collects the text of each block element; one instance serves many documents."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._blocks: list[list[str]] = [[]]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self._blocks.append([])

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._blocks.append([])

    def handle_data(self, data: str) -> None:
        self._blocks[-1].append(data)

    def convert(self, html: str) -> str:
        self.reset()
        self._blocks = [[]]
        self.feed(html)
        self.close()
        blocks = (" ".join("".join(parts).split()) for parts in self._blocks)
        return " ".join(closed(block) for block in blocks if block)


def plain_text(html: str) -> str:
    """Return the text of an HTML fragment: each block and list item is a sentence."""
    return _PlainText().convert(html)


def service_name(metadata: dict[str, Any]) -> str:
    """Return a service's full name, with its short name if the full one lacks it."""
    full = _VENDOR.sub(r"\1 ", str(metadata.get("serviceFullName") or metadata.get("serviceId") or ""))
    short = str(metadata.get("serviceId") or "")
    return full if short.lower().replace(" ", "") in full.lower().replace(" ", "") else f"{full} ({short})"


class AwsReference:
    """Documents from the service files below `root`, in the order of service, API version and name.

    `services` keeps only those services (botocore's names: "ec2", "s3"); an unknown one is an error. `skipped` counts
    the entries without text, and the parameters with too little of it, in the current pass.
    """

    name = "aws"
    contents = "operations of the AWS API reference"
    prefix = "aws/"
    examples = (
        "create a bucket",
        "terminate EC2 instances",
        "how do I rotate a secret",
        "delete all messages in a queue",
        "restore a database from a snapshot",
    )

    def __init__(
        self, services: Iterable[str] | None = None, questions: Path = QUESTIONS, root: Path = BOTOCORE_DATA
    ) -> None:
        files = sorted(root.glob("*/*/service-2.json.gz"), key=lambda path: path.parts[-3:])
        known = {path.parts[-3] for path in files}
        wanted = known if services is None else set(services)
        if not known:
            raise CorpusError(f"{root} holds no service files (*/*/service-2.json.gz); install botocore.")
        if unknown := sorted(wanted - known):
            raise CorpusError(f"--services {', '.join(unknown)} is unknown; give botocore's names, such as ec2 or s3.")
        self._root = root
        self._known = known
        self._wanted = wanted
        self._questions = questions
        self._files = [path for path in files if path.parts[-3] in wanted]
        self.skipped = 0

    def documents(self, limit: int | None = None) -> Iterator[Document]:
        """Yield a document for each documented operation of each API version: "aws/<service>/<version>/<Name>"."""
        return islice(self._documents(_operations), limit)

    def fresh(self, limit: int | None = None) -> Iterator[Document]:
        """Yield a document for each parameter with over 80 characters: "param/<service>/<version>/<Shape>.<member>"."""
        return islice(self._documents(_parameters), limit)

    def questions(self) -> tuple[question_set.Question, ...]:
        """Return the questions that an operation of one of the services answers."""
        asked = question_set.load(self._questions)
        if self._questions != QUESTIONS:
            # Only the named services are read; all of them take seconds.
            named = AwsReference(question_set.services(asked) & self._known, root=self._root)
            question_set.refuse_unknown(asked, {one.source_id for one in named.documents()}, self._questions)
        if self._wanted == self._known:
            return asked
        return question_set.answerable(asked, lambda q: question_set.services([q]) & self._wanted, self.contents)

    def _documents(self, read: _Reader) -> Iterator[Document]:
        self.skipped = 0
        parser = _PlainText()
        for path in self._files:
            service, version = path.parts[-3:-1]
            for document in read(f"{service}/{version}", _read(path), parser):
                if document.text:
                    yield document
                else:
                    self.skipped += 1


_Reader = Callable[[str, dict[str, Any], _PlainText], Iterator[Document]]


def _read(path: Path) -> dict[str, Any]:
    try:
        described: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise CorpusError(f"{path} is not a service file of botocore: {error}.") from error
    return described


def _operations(place: str, described: dict[str, Any], parser: _PlainText) -> Iterator[Document]:
    name = service_name(described["metadata"])
    for operation, entry in sorted(described["operations"].items()):
        text = parser.convert(entry.get("documentation", ""))
        yield Document(f"aws/{place}/{operation}", f"{name}: {words(operation)}", text)


def _parameters(place: str, described: dict[str, Any], parser: _PlainText) -> Iterator[Document]:
    name = service_name(described["metadata"])
    for shape, entry in sorted(described["shapes"].items()):
        for member, details in sorted(entry.get("members", {}).items()):
            html = details.get("documentation", "")
            text = parser.convert(html) if len(html) >= SHORTEST_PARAMETER_CHARS else ""
            title = f"{name}: {words(shape)}, {words(member)}"
            yield Document(f"param/{place}/{shape}.{member}", title, text)
