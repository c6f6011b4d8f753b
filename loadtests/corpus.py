"""The AWS API reference as documents: real text that arrives with botocore, so it needs no download."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path
from typing import Any

import botocore

BOTOCORE_DATA = Path(str(botocore.__file__)).parent / "data"
# Counted before the HTML is stripped; shorter ones say little more than the parameter's name.
SHORTEST_PARAMETER_CHARS = 81

_BLOCK_TAGS = "p li ul ol dl dt dd h1 h2 h3 h4 div pre br table tr td th note important"
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_ENDS_A_SENTENCE = (".", "!", "?", ":", ";", ",")
_VENDOR = re.compile(r"\b(Amazon|AWS)(?=[A-Z][a-z])")
# Names with a case of their own, acronyms with a plural s (ACLs) or before a word (DB|Instances), words.
_WORD = re.compile(
    r"IPv[46]|OAuth\d*|OTel|[A-Z]{2,}s(?![a-z])|[A-Z]+(?=[A-Z][a-z])|[A-Z]+\d*(?![a-z])|[A-Z]?[a-z]+\d*|\d+"
)
# AWS writes these as words (CreateVpc, PutBucketAcl); a person writes them as acronyms.
_ACRONYMS = (
    "ACL ACLs API APIs ARN CIDR DB DHCP DNS EBS HTTP IAM ID IDs IP IPs IPv4 IPv6 JSON KMS MFA NAT OIDC SAML "
    "SMS SQL SSH SSL TLS URL URLs VPC VPCs VPN"
)
_HIDDEN_ACRONYMS = {acronym.lower(): acronym for acronym in _ACRONYMS.split()}


@dataclass(frozen=True, slots=True)
class Document:
    """One document as the service takes it: a stable id, a heading in words, plain text."""

    source_id: str
    title: str
    text: str


class CorpusError(Exception):
    """The reference cannot be read as asked; the message is a sentence for the user."""


class _PlainText(HTMLParser):
    """Collects the text of each block element; one instance serves many documents."""

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
        return " ".join(_closed(block) for block in blocks if block)


def _closed(block: str) -> str:
    # A list item or heading without a full stop would run into the next one and be split wrongly.
    return block if block.endswith(_ENDS_A_SENTENCE) else f"{block}."


def plain_text(html: str) -> str:
    """Text of an HTML fragment: entities decoded, whitespace folded, every block and list item a sentence."""
    return _PlainText().convert(html)


def words(identifier: str) -> str:
    """Words of an identifier: "DescribeDBInstances" is "describe DB instances", "CreateVpc" "create VPC"."""
    return " ".join(_word(piece) for piece in _WORD.findall(identifier))


def _word(piece: str) -> str:
    acronym = re.match(r"[A-Z]{2}|[A-Z]\d", piece) or piece.startswith("OAuth") or piece == "OTel"
    return piece if acronym else _HIDDEN_ACRONYMS.get(piece.lower(), piece.lower())


def service_name(metadata: dict[str, Any]) -> str:
    """A service's name as people know it: its full name, then its short one where the full one lacks it."""
    full = _VENDOR.sub(r"\1 ", str(metadata.get("serviceFullName") or metadata.get("serviceId") or ""))
    short = str(metadata.get("serviceId") or "")
    return full if short.lower().replace(" ", "") in full.lower().replace(" ", "") else f"{full} ({short})"


class Corpus:
    """Documents out of the service files below `root`, in the order of service, API version and name.

    `services` keeps only those services (botocore's names: "ec2", "s3"); an unknown one is an error.
    `skipped` is how many entries of the pass under way had no text, or as a parameter too little of it.
    """

    def __init__(self, services: Iterable[str] | None = None, root: Path = BOTOCORE_DATA) -> None:
        files = sorted(root.glob("*/*/service-2.json.gz"), key=lambda path: path.parts[-3:])
        known = {path.parts[-3] for path in files}
        wanted = known if services is None else set(services)
        if not known:
            raise CorpusError(f"No service files (*/*/service-2.json.gz) in {root}; install botocore.")
        if unknown := sorted(wanted - known):
            raise CorpusError(
                f"No AWS service is called {', '.join(unknown)}; names are botocore's, such as ec2 or s3."
            )
        self._files = [path for path in files if path.parts[-3] in wanted]
        self.skipped = 0

    def operations(self, limit: int | None = None) -> Iterator[Document]:
        """One document per documented operation of all API versions: "aws/<service>/<version>/<Name>"."""
        return self._pass(_operations, limit)

    def parameters(self, limit: int | None = None) -> Iterator[Document]:
        """One document per well documented parameter: "param/<service>/<version>/<Shape>.<member>".

        They are the documents that keep arriving while a load test runs. Well means over 80 characters.
        """
        return self._pass(_parameters, limit)

    def operation_names(self) -> dict[str, set[str]]:
        """Names of the documented operations of each service, over all its API versions; a pass of its own."""
        names: dict[str, set[str]] = {}
        for document in self.operations():
            _, service, _, operation = document.source_id.split("/")
            names.setdefault(service, set()).add(operation)
        return names

    def _pass(self, read: _Reader, limit: int | None) -> Iterator[Document]:
        self.skipped = 0
        return islice(self._documents(read), limit)

    def _documents(self, read: _Reader) -> Iterator[Document]:
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
