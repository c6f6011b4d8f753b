"""Identifiers as the words that a person says."""

from __future__ import annotations

import re

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


def words(identifier: str) -> str:
    """Words of an identifier: "DescribeDBInstances" is "describe DB instances", "CreateVpc" "create VPC"."""
    return " ".join(_word(piece) for piece in _WORD.findall(identifier))


def _word(piece: str) -> str:
    acronym = re.match(r"[A-Z]{2}|[A-Z]\d", piece) or piece.startswith("OAuth") or piece == "OTel"
    return piece if acronym else _HIDDEN_ACRONYMS.get(piece.lower(), piece.lower())
