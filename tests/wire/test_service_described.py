"""A real fleet answers what its description allows, to whatever may be sent by that description or against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.router.api.openapi import OPERATIONS, document
from tests.wire.service_fleet import ServiceFleet, documents, new_fleet
from vectorfleet.slots import SLOT_HEADER

Connect = Callable[[str], Any]
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 60


@pytest.fixture(scope="module")
def fleet(connect: Connect, emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceFleet]:
    """Two shards, some documents."""
    one = new_fleet(connect, emulator, tmp_path_factory.mktemp("fleet"), shards=2)
    try:
        one.boot(replicas=1)
        one.await_position(one.client().write(documents(["note/1", "note/2"], "stopping machines"))["position"])
        yield one
    finally:
        one.stop()


def at_once(body: Any) -> Any:
    """The body without a position that nothing has reached: that would be waited for, and rightly end as a 503."""
    if isinstance(body, dict):
        return {name: at_once(value) for name, value in body.items() if name != "min_position"}
    return [at_once(one) for one in body] if isinstance(body, list) else body


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_every_answer_is_as_described_and_no_fault(fleet: ServiceFleet, operation: Any, mode: GenerationMode) -> None:
    described = schemathesis.openapi.from_dict(document())[operation.path][operation.method]

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(described.as_strategy(mode))
    def holds(case: Any) -> None:
        # A client that names the other slot gets nothing but a 421.
        case.headers.pop(SLOT_HEADER, None)
        case.body, case.query = at_once(case.body), at_once(case.query)
        answer = case.call(base_url=fleet.routers[0].url, timeout=20)
        assert answer.status_code < 500, f"{answer.status_code} {answer.text[:500]} to {case.as_curl_command()[:1000]}"
        case.validate_response(answer, checks=CHECKS)

    holds()
