"""Wording of documents: identifiers as the words that people say, and blocks of text as sentences."""

from __future__ import annotations

import re
from itertools import takewhile

# Names with a case of their own, acronyms with a plural s (ACLs) or before a word (DB|Instances), words.
_WORD = re.compile(
    r"IPv[46]|OAuth\d*|OTel|[A-Z]{2,}s(?![a-z])|[A-Z]+(?=[A-Z][a-z])|[A-Z]+\d*(?![a-z])|[A-Z]?[a-z]+\d*|\d+"
)
# Identifiers have these as words (CreateVpc, PutBucketAcl); a person writes them as acronyms.
_ACRONYMS = (
    "ACL ACLs API APIs ARN CIDR DB DHCP DNS EBS HTTP IAM ID IDs IP IPs IPv4 IPv6 JSON KMS MFA NAT OIDC SAML "
    "SMS SQL SSH SSL TLS URL URLs VPC VPCs VPN"
)
_HIDDEN_ACRONYMS = {acronym.lower(): acronym for acronym in _ACRONYMS.split()}
_ENDS = (".", "!", "?", ":", ";", ",")
_BLANK_LINES = re.compile(r"\n\s*\n")
_RULE = re.compile(r"\s*[-=~^*#+]{3,}\s*")
_SESSION = ">>>"


def words(identifier: str) -> str:
    """Return "describe DB instances" for "DescribeDBInstances" and "create VPC" for "CreateVpc"."""
    return " ".join(_word(piece) for piece in _WORD.findall(identifier))


def _word(piece: str) -> str:
    acronym = re.match(r"[A-Z]{2}|[A-Z]\d", piece) or piece.startswith("OAuth") or piece == "OTel"
    return piece if acronym else _HIDDEN_ACRONYMS.get(piece.lower(), piece.lower())


def closed(block: str) -> str:
    """Return a block with a full stop at its end: the service's splitter cuts where a sentence ends."""
    return block if block.endswith(_ENDS) else f"{block}."


def prose(text: str) -> str:
    """Return the paragraphs of a plain text as sentences, without rules under headings and sessions (>>>)."""
    blocks = (_folded(block) for block in _BLANK_LINES.split(text))
    return " ".join(closed(block) for block in blocks if block)


def _folded(block: str) -> str:
    told = takewhile(lambda line: not line.lstrip().startswith(_SESSION), block.splitlines())
    return " ".join(" ".join(line for line in told if not _RULE.fullmatch(line)).split())
