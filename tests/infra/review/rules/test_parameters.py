"""The rule of infra.review.rules.parameters, with what complies and what does not."""

from __future__ import annotations

import pytest

from infra.review.rules import tokens
from tests.infra.review.rules.cases import Case, fine, made, wrong

CASES = (
    fine("parameter-no-secret", "configuration", made(tokens.PARAMETER, {"type": "String"})),
    wrong("parameter-no-secret", "a secret", made(tokens.PARAMETER, {"type": "SecureString"}), says="a secret passes"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_parameter_rule_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    case.check()
