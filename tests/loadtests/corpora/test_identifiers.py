from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.corpora.identifiers import words


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
