"""The error rates of the gate, on services with known truth, in virtual time.

Nothing is sent. A run is two counts: searches that arrive as a Poisson stream, and the slow ones among them by its
service. The gate judges these counts like those of a real run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import click
import numpy as np

from loadtests.judge.gate import judge
from loadtests.judge.tally import Tally, tally
from loadtests.run.evidence import Registration, RunEvidence
from loadtests.run.settings import Load, Settings
from vectorfleet.number_types import Number
from vectorfleet.output import print_json
from vectorfleet.verdicts import Verdict

# Returns the slow searches of a run, given its number of searches and the length of its window.
Service = Callable[[np.random.Generator, int, float], int]


@dataclass(frozen=True)
class Setting:
    """The gates of one row: their number, and the runs of each with their rate and window."""

    gates: int
    runs: int
    rate: float
    window_seconds: float


@dataclass(frozen=True)
class Rates:
    """Shares of the verdicts on one service."""

    service: str
    slow_share: float
    passed: float
    failed: float
    undecided: float

    def to_json(self) -> dict[str, str | float]:
        return asdict(self)


def steady(share: float) -> Service:
    """Make each search slow with the same chance, independently."""
    return lambda random, searches, _: int(random.binomial(searches, share))


def varying(share: float, variation: float) -> Service:
    """Draw the chance for each run, with this coefficient of variation around ``share``."""
    weight = (1 - share) / (share * variation**2) - 1
    return lambda random, searches, _: int(random.binomial(searches, random.beta(share * weight, (1 - share) * weight)))


def freezing(seconds: float, period_seconds: float, target_seconds: float = 0.2) -> Service:
    """Freeze for so long once in each period; a search that arrives less than the target before its end is not slow."""
    slow_seconds = seconds - target_seconds

    def slow(random: np.random.Generator, searches: int, window_seconds: float) -> int:
        instants = random.uniform(0, window_seconds, searches) + random.uniform(0, period_seconds)
        return int(np.count_nonzero(instants % period_seconds < slow_seconds))

    return slow


SERVICES: dict[str, tuple[float, Service]] = {
    **{f"{share:.1%} slow": (share, steady(share)) for share in (0.03, 0.04, 0.049, 0.05, 0.051, 0.06, 0.08)},
    **{f"5% slow, by run ±{cv:.0%}": (0.05, varying(0.05, cv)) for cv in (0.25, 0.5, 1.0)},
    **{
        f"{seconds:g} s frozen every {period:g} s": ((seconds - 0.2) / period, freezing(seconds, period))
        for seconds, period in ((1, 13), (2, 30), (4, 60), (8, 120), (20, 300))
    },
}


def measure(setting: Setting, names: Sequence[str] = tuple(SERVICES), seed: int = 1) -> list[Rates]:
    """Judge every service; the same seed gives the same rates."""
    found = []
    for name in names:
        random, (share, service) = np.random.default_rng([seed, *name.encode()]), SERVICES[name]
        verdicts = Counter(_verdict(setting, service, random) for _ in range(setting.gates))
        parts = (verdicts[one] / setting.gates for one in (Verdict.PASS, Verdict.FAIL, Verdict.UNDECIDED))
        found.append(Rates(name, share, *parts))
    return found


def _verdict(setting: Setting, service: Service, random: np.random.Generator) -> Verdict:
    settings = Settings(load=Load(rate=setting.rate, window_seconds=setting.window_seconds))
    runs = [_run(setting, service, random) for _ in range(setting.runs)]
    return judge(runs, settings.targets, ()).verdict


def _run(setting: Setting, service: Service, random: np.random.Generator) -> Tally:
    searches = int(random.poisson(setting.rate * setting.window_seconds))
    slow = service(random, searches, setting.window_seconds)
    return replace(_EMPTY, arrivals=searches, slow=slow, slow_service=slow, window_seconds=setting.window_seconds)


_EMPTY = tally(RunEvidence(Registration("", Settings(load=Load(rate=1.0)), 1, False, "")))


@click.command()
@click.option("--gates", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="Of each kind.")
@click.option("--runs", type=click.IntRange(1, 50), default=5, show_default=True, help="Of each gate.")
@click.option("--rate", type=Number(1, 10_000), default=40.0, show_default=True, help="Searches a second.")
@click.option("--window", "windows", type=Number(1, 3_600), multiple=True, default=(10.0, 60.0))
@click.option("--seed", type=click.IntRange(0, (1 << 63) - 1), default=1, show_default=True, help="Of the draws.")
@click.option("--json", "as_json", is_flag=True, help="Plain JSON instead of a table.")
def command(gates: int, runs: int, rate: float, windows: tuple[float, ...], seed: int, as_json: bool) -> None:
    """Count the gate's verdicts on services whose truth is known.

    It runs in virtual time; nothing is sent.
    """
    found = {window: measure(Setting(gates, runs, rate, window), seed=seed) for window in windows}
    if as_json:
        plain = {f"{window:g}": [one.to_json() for one in rates] for window, rates in found.items()}
        print_json({"gates": gates, "runs": runs, "rate": rate, "windows": plain})
        return
    click.echo(f"{gates:,} gates of {runs} runs at {rate:g} searches a second; PASS / FAIL in percent")
    click.echo(f"{'':<28}{'slow':>8}" + "".join(f"{f'{window:g} s':>16}" for window in found))
    for rows in zip(*found.values(), strict=True):
        cells = (f"{100 * one.passed:.1f} / {100 * one.failed:.1f}" for one in rows)
        click.echo(f"{rows[0].service:<28}{rows[0].slow_share:>8.1%}" + "".join(f"{cell:>16}" for cell in cells))
