"""The rules of infra.review.rules.logs, each with what complies and what does not."""

from __future__ import annotations

import pytest

from infra.review.rules import tokens
from tests.infra.review.rules.cases import Case, fine, made, wrong

CASES = (
    fine("log-group-retention", "a month", made(tokens.LOG_GROUP, {"retentionInDays": 30})),
    wrong("log-group-retention", "for ever", made(tokens.LOG_GROUP, {"retentionInDays": 0}), says="kept for ever"),
    fine("log-group-encrypted", "our key", made(tokens.LOG_GROUP, {"kmsKeyId": "arn:aws:kms:::key/1"})),
    wrong("log-group-encrypted", "AWS's", made(tokens.LOG_GROUP), says="not encrypted with a key of the stack"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_log_group_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()
