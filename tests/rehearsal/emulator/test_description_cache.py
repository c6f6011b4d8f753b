"""The description cache: an answer is repeated only until something may have changed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from rehearsal.emulator.description_cache import changed, with_description_cache


class Api:
    """A stand-in for the emulated AWS, which answers with the number of its requests."""

    def __init__(self) -> None:
        self.asked = self.broken = 0
        self.meanwhile: Callable[[], object] = lambda: None
        self.application = with_description_cache(self)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.asked += 1
        answer = b"%d" % self.asked
        self.meanwhile()
        status = "200 OK" if self.asked > self.broken else "500 Internal Server Error"
        start_response(status, [("Content-Length", str(len(answer)))])
        return [answer]

    def ask(self, action: str, *, service: str = "ec2", region: str = "us-east-1") -> bytes:
        body = f"Action={action}&Version=2016-11-15".encode()
        environ = {
            "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=test/1/{region}/{service}/aws4_request, S=1",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        return b"".join(self.application(environ, lambda *_: lambda _data: None))


def test_a_repeated_description_is_asked_once() -> None:
    api = Api()
    assert [api.ask("DescribeInstances") for _ in range(3)] == [b"1"] * 3


@pytest.mark.parametrize("action", ["TerminateInstances", "RunInstances", "CreateTags"])
def test_any_change_makes_it_ask_again(action: str) -> None:
    api = Api()
    api.ask("DescribeInstances")
    api.ask(action)
    assert api.ask("DescribeInstances") == b"3"


def test_a_change_of_another_service_counts_too() -> None:
    api = Api()
    api.ask("DescribeInstances")
    api.ask("SetDesiredCapacity", service="autoscaling")
    assert api.ask("DescribeInstances") == b"3"


def test_steps_of_the_emulator_itself_count_too() -> None:
    api = Api()
    api.ask("DescribeInstances")
    changed()
    assert api.ask("DescribeInstances") == b"2"


def test_an_answer_built_while_something_changed_is_not_kept() -> None:
    api = Api()
    api.meanwhile = changed
    api.ask("DescribeInstances")
    api.meanwhile = lambda: None
    assert api.ask("DescribeInstances") == b"2"


def test_an_answer_built_inside_a_change_is_not_kept() -> None:
    api = Api()

    def peek() -> None:
        api.meanwhile = lambda: None
        api.ask("DescribeInstances")

    api.meanwhile = peek
    api.ask("TerminateInstances")
    assert api.ask("DescribeInstances") == b"3"


def test_regions_and_other_descriptions_are_apart() -> None:
    api = Api()
    first = api.ask("DescribeInstances")
    assert api.ask("DescribeInstances", region="eu-west-1") != first
    assert api.ask("DescribeVolumes") != api.ask("DescribeVolumes")
    assert api.ask("DescribeInstances") == first


@pytest.mark.parametrize("action", ["DescribeInstances", "DescribeRouteTables"])
def test_a_description_that_a_change_broke_is_made_again(action: str) -> None:
    api = Api()
    api.broken = 2
    assert api.ask(action) == b"3"


def test_a_change_that_failed_is_not_made_again() -> None:
    api = Api()
    api.broken = 1
    assert api.ask("AssociateRouteTable") == b"1"
    assert api.asked == 1
