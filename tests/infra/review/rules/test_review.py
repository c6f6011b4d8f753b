"""`python -m infra check`: exit codes, what it prints, and the shipped stacks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest

from infra.configuration.stack_file import stack_names
from infra.review.rules import acknowledgements, tokens
from infra.review.rules import review as reviewing
from infra.review.rules.acknowledgements import ACKNOWLEDGEMENTS, Acknowledgement
from infra.review.rules.review import review
from infra.review.rules.rule import Finding
from vectorfleet.door import main

FINDING = Finding("listener-https", tokens.LISTENER, "rehearsal", "urn", "the protocol is HTTP")
ELSEWHERE = Finding("listener-tls", tokens.LISTENER, "large", "urn", "sslPolicy is nothing")
ACCEPTED = Acknowledgement("listener-https", tokens.LISTENER, "rehearsal", "nobody listens on a loopback")
FOR_LARGE = Acknowledgement("listener-tls", tokens.LISTENER, "large", "a reason")
STALE = Acknowledgement("listener-tls", tokens.LISTENER, "gone", "a reason")
Check = Callable[..., tuple[int, str]]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Runs the verb on two made-up stacks, with these acknowledgements; exit code and all that it printed."""
    found = {"rehearsal": [FINDING], "large": [ELSEWHERE], "clean": []}
    monkeypatch.setattr(reviewing, "found_in", found.__getitem__)
    monkeypatch.setattr(reviewing, "stack_names", lambda: sorted(found))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, known: tuple[Acknowledgement, ...] = ()) -> tuple[int, str]:
        monkeypatch.setattr(acknowledgements, "ACKNOWLEDGEMENTS", known)
        monkeypatch.setattr(sys, "argv", ["infra", "check", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out + captured.err

    return run


def test_a_finding_is_printed_and_fails(check: Check) -> None:
    code, output = check("--stack", "rehearsal")
    assert code == 1
    assert "listener-https" in output
    assert "Listener rehearsal" in output
    assert "the protocol is HTTP" in output
    assert "1 found, 0 acknowledged, 0 stale" in output


def test_nothing_found_passes(check: Check) -> None:
    code, output = check("--stack", "clean")
    assert (code, "0 found" in output) == (0, True)


def test_an_acknowledged_finding_passes_with_its_reason(check: Check) -> None:
    code, output = check("--stack", "rehearsal", known=(ACCEPTED,))
    assert code == 0
    assert "Acknowledged: nobody listens on a loopback" in output


def test_an_acknowledgement_of_another_stack_is_not_stale(check: Check) -> None:
    assert check("--stack", "rehearsal", known=(ACCEPTED, FOR_LARGE))[0] == 0


def test_an_acknowledgement_that_no_stack_needs_is_named(check: Check) -> None:
    code, output = check("--stack", "rehearsal", known=(ACCEPTED, STALE))
    assert code == 1
    assert f"The acknowledgement of listener-tls on {tokens.LISTENER} gone accepts nothing" in output
    assert "0 found, 1 acknowledged, 1 stale" in output


def test_json_carries_findings_reasons_and_what_is_stale(check: Check) -> None:
    code, output = check("--stack", "rehearsal", "--json", known=(ACCEPTED, STALE))
    assert code == 1
    assert json.loads(output) == {
        "stack": "rehearsal",
        "clean": False,
        "findings": [
            {
                "rule": "listener-https",
                "type": tokens.LISTENER,
                "name": "rehearsal",
                "finding": "the protocol is HTTP",
                "acknowledged": "nobody listens on a loopback",
            }
        ],
        "stale": [{"rule": "listener-tls", "type": tokens.LISTENER, "name": "gone", "reason": "a reason"}],
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"), [(["--stack", "moon"], "There is no stack 'moon'"), ([], "Missing option '--stack'")]
)
def test_a_usage_error_has_its_own_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["infra", "check", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 64
    assert sentence in capsys.readouterr().err


EXAMPLES = {"small": ["certificateArn", "hostname", "amiId", "alerts.emails[0]"], "rehearsal": []}
EXAMPLES["large"] = sorted([*EXAMPLES["small"], "embedding.url", "traces.endpoint"])


@pytest.mark.parametrize("stack", stack_names())
def test_every_shipped_stack_is_clean_but_for_placeholders(stack: str) -> None:
    made = review(stack, ACKNOWLEDGEMENTS)
    left = [one.finding for one in made.judged if not one.reason]
    assert ({one.rule for one in left} <= {"placeholder"}, list(made.stale)) == (True, [])
    assert sorted(one.name.removeprefix("vectorfleet:") for one in left) == sorted(EXAMPLES[stack])


def test_a_placeholder_is_said_with_what_to_do_instead() -> None:
    (found,) = [one.finding for one in review("small", ()).judged if one.finding.name == "vectorfleet:amiId"]
    assert (
        'vectorfleet:amiId is "ami-00000000000000000"; allowed: your own instead of this placeholder' in found.sentence
    )
    assert "pulumi config set --path vectorfleet:amiId" in found.sentence


def test_a_folder_without_the_rehearsals_stack_has_nothing_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviewing, "stack_names", lambda: ["small"])
    assert not review("small", ACKNOWLEDGEMENTS).stale
