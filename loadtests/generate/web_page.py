"""Additions to Locust's web page and HTML report: refusals of settings, and the verdict."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from html import escape
from pathlib import Path

from flask import Response, jsonify, request
from locust.env import Environment
from locust.util.timespan import parse_timespan

from loadtests.generate.conductor import Conductor, refusal
from loadtests.judge.table import figures

_TAB = "verdict"
# The page would sort by a column called name.
_COLUMNS = ({"key": "figure", "title": ""}, {"key": "value", "title": ""})


def extend(environment: Environment, conductor: Conductor) -> None:
    """Make the web page refuse bad settings, and show the last verdict in a tab and in its report."""
    page = environment.web_ui
    page.template_args |= {
        "extended_tabs": [{"title": "Verdict", "key": _TAB}],
        "extended_tables": [{"key": _TAB, "structure": list(_COLUMNS)}],
    }

    def refuse() -> Response | None:
        if not request.path.endswith("/swarm"):
            return None
        if not request.form.get("run_time"):
            # Locust would keep the last run's run time.
            environment.parsed_options.run_time = None
        problem = form_problem(environment, request.form)
        return jsonify({"success": False, "message": problem, "host": environment.host}) if problem else None

    def show(response: Response) -> Response:
        if request.path.endswith("/stats/requests") and response.json:
            data = [{"figure": figure, "value": value} for figure, value in _rows(conductor)]
            # The page polls until the state changes, so the state stays until the verdict is there.
            state = {"state": "running"} if conductor.busy else {}
            told = response.json | state | {"extended_stats": [{"key": _TAB, "data": data}]}
            response.set_data(jsonify(told).data)
        elif request.path.endswith("/stats/report"):
            response.set_data(with_verdict(response.get_data(as_text=True), conductor))
        return response

    page.app.before_request(refuse)
    page.app.after_request(show)


def form_problem(environment: Environment, form: Mapping[str, str]) -> str:
    """Return why a run with the values of the form cannot start, or an empty string."""
    options = Namespace(**vars(environment.parsed_options))
    try:
        length = parse_timespan(form["run_time"]) if form.get("run_time") else None
        users = {"num_users": int(form.get("user_count", 1)), "spawn_rate": float(form.get("spawn_rate", 1))}
    except ValueError as error:
        return f"{error}."
    known = {name: value for name, value in form.items() if name in vars(options)}
    vars(options).update(known | users | {"run_time": length})
    if options.evidence and (Path(options.evidence) / "run.json").exists():
        return f"{options.evidence} already holds the evidence of a run; name another folder."
    return refusal(environment, options)


def add_to_report(path: Path, conductor: Conductor) -> None:
    """Put the verdict at the top of the HTML report that Locust wrote."""
    path.write_text(with_verdict(path.read_text(encoding="utf-8"), conductor), encoding="utf-8")


def with_verdict(page: str, conductor: Conductor) -> str:
    """Return a page with the last verdict, its reasons and figures at the top; a page without a body is unchanged."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _rows(conductor))
    style = "font-family: sans-serif; margin: 1em 2em; text-align: left"
    return page.replace("<body>", f'<body><table id="{_TAB}" style="{style}">{rows}</table>', 1)


def _rows(conductor: Conductor) -> list[tuple[str, str]]:
    """Return the verdict as rows of a table, most important first."""
    if conductor.judgement is None or conductor.tally is None:
        return [("verdict", "no run has ended yet")]
    reasons = [("", sentence) for sentence in conductor.judgement.sentences]
    return [("verdict", conductor.judgement.label), *reasons, *figures(conductor.tally)]
