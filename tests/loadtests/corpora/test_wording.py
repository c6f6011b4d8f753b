from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.corpora.wording import closed, prose, words


@pytest.mark.parametrize(
    ("identifier", "in_words"),
    [
        ("TerminateInstances", "terminate instances"),
        ("DescribeDBInstances", "describe DB instances"),
        ("PutObjectACL", "put object ACL"),
        ("PutBucketAcl", "put bucket ACL"),
        ("ListWebACLs", "list web ACLs"),
        ("ListHITsForQualificationType", "list HITs for qualification type"),
        ("CreateVpcPeeringConnection", "create VPC peering connection"),
        ("AssignIpv6Addresses", "assign IPv6 addresses"),
        ("ListObjectsV2", "list objects V2"),
        ("StartICD10CMInferenceJob", "start ICD10 CM inference job"),
        ("GetOAuth2Token", "get OAuth2 token"),
        ("instanceId", "instance ID"),
        ("UploadPart", "upload part"),
        ("put_nowait", "put nowait"),
    ],
)
def test_identifiers_become_words(identifier: str, in_words: str) -> None:
    assert words(identifier) == in_words


@given(st.from_regex(r"[A-Za-z0-9]{0,40}", fullmatch=True))
def test_words_lose_no_letter(identifier: str) -> None:
    assert words(identifier).replace(" ", "").lower() == identifier.lower()


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One line", "One line."),
        ("Two\n   lines.\n\nAnother paragraph", "Two lines. Another paragraph."),
        ("The heading\n***********\n\nText.", "The heading. Text."),
        ("=====\nTitle\n=====", "Title."),
        ("Example:\n\n>>> 1 + 1\n2\n\nMore.", "Example: More."),
        ("Example:\n    >>> 1 + 1\n    2", "Example:"),
        ("a - b", "a - b."),
        (">>> 1", ""),
        (" \n\n \t", ""),
    ],
)
def test_paragraphs_become_sentences(text: str, sentences: str) -> None:
    assert prose(text) == sentences


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), max_size=6))
def test_every_paragraph_survives_apart_from_the_others(paragraphs: list[str]) -> None:
    assert prose("\n\n".join(paragraphs)) == " ".join(map(closed, paragraphs))
