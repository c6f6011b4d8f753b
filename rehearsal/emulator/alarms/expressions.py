"""Metric math: the expressions that alarms of this project use, evaluated over time series.

It has numbers, ids, `+ - * /`, comparisons, AND, OR, IF() and FILL(). The rules are those of the CloudWatch user guide,
"Metric math syntax and functions": a missing point counts as 0 where the other series has one, and a division by 0
drops the point. The guide does not define FILL() of a metric without points; here it is filled only where another
metric of the expression has a point.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Series = dict[int, float]
Value = Series | float
_BINARY: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: lambda a, b: float(a > b),
    ast.GtE: lambda a, b: float(a >= b),
    ast.Lt: lambda a, b: float(a < b),
    ast.LtE: lambda a, b: float(a <= b),
    ast.Eq: lambda a, b: float(a == b),
    ast.NotEq: lambda a, b: float(a != b),
    ast.And: lambda a, b: float(bool(a) and bool(b)),
    ast.Or: lambda a, b: float(bool(a) or bool(b)),
}


class ExpressionError(ValueError):
    """A part of the expression is not supported; the message names it."""


def _parse(expression: str) -> ast.expr:
    text = re.sub(r"\bAND\b|&&", " and ", expression)
    text = re.sub(r"\bOR\b|\|\|", " or ", text)
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise ExpressionError(f"metric math expression {expression!r} is not valid.") from None


def _at(value: Value, start: int) -> float | None:
    return value.get(start) if isinstance(value, dict) else value


def _combine(function: Callable[..., float | None], starts: Sequence[int], *values: Value) -> Value:
    """Apply a function point by point; a result of plain numbers is a number."""
    if not any(isinstance(value, dict) for value in values):
        result = function(*values)
        return {} if result is None else result
    series: Series = {}
    for start in starts:
        point = function(*(_at(value, start) for value in values))
        if point is not None:
            series[start] = point
    return series


def _dropping(function: Callable[[float, float], float]) -> Callable[[float | None, float | None], float | None]:
    def apply(left: float | None, right: float | None) -> float | None:
        try:
            return function(left or 0.0, right or 0.0)
        except ZeroDivisionError:
            return None

    return apply


def _choose(condition: float | None, then: float | None, otherwise: float | None) -> float | None:
    if condition is None:
        return None
    return (then or 0.0) if condition else otherwise


@dataclass
class _Evaluator:
    series: Mapping[str, Series]
    starts: Sequence[int]
    used: Sequence[Series]

    def value(self, node: ast.expr) -> Value:
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return float(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            return self._named(node.id)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return self._pair(operator.sub, 0.0, self.value(node.operand))
        if isinstance(node, ast.BinOp):
            return self._pair(self._operator(node.op), self.value(node.left), self.value(node.right))
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right = self.value(node.left), self.value(node.comparators[0])
            return self._pair(self._operator(node.ops[0]), left, right)
        return self._compound(node)

    def _compound(self, node: ast.expr) -> Value:
        if isinstance(node, ast.BoolOp):
            result = self.value(node.values[0])
            for other in node.values[1:]:
                result = self._pair(self._operator(node.op), result, self.value(other))
            return result
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._call(node.func.id, node.args)
        raise ExpressionError(f"metric math with {ast.unparse(node)!r} is not supported here.")

    def _named(self, name: str) -> Series:
        if name not in self.series:
            raise ExpressionError(f"metric math names {name!r}; known ids are {', '.join(sorted(self.series))}.")
        return self.series[name]

    @staticmethod
    def _operator(node: ast.AST) -> Callable[[float, float], float]:
        if type(node) not in _BINARY:
            raise ExpressionError(f"metric math does not support the operator {type(node).__name__}.")
        return _BINARY[type(node)]

    def _pair(self, function: Callable[[float, float], float], left: Value, right: Value) -> Value:
        series = [value for value in (left, right) if isinstance(value, dict)]
        return _combine(_dropping(function), self._measured(series), left, right)

    def _measured(self, series: Iterable[Series]) -> list[int]:
        """Return the starts at which any of these series has a point."""
        there = set().union(*series)
        return [start for start in self.starts if start in there]

    def _call(self, name: str, arguments: list[ast.expr]) -> Value:
        if name == "IF" and len(arguments) == 3:
            return _combine(_choose, self.starts, *(self.value(argument) for argument in arguments))
        if name == "FILL" and len(arguments) == 2:
            return self._fill(self.value(arguments[0]), arguments[1])
        raise ExpressionError(f"metric math does not support {name}() with {len(arguments)} arguments here.")

    def _fill(self, value: Value, how: ast.expr) -> Value:
        if not isinstance(value, dict):
            return value
        if isinstance(how, ast.Name) and how.id == "REPEAT":
            return self._repeat(value)
        starts = self.starts if value else self._measured(self.used)
        return _combine(lambda point, other: other if point is None else point, starts, value, self.value(how))

    def _repeat(self, series: Series) -> Series:
        filled: Series = {}
        last: float | None = None
        for start in self.starts:
            last = series.get(start, last)
            if last is not None:
                filled[start] = last
        return filled


def _used(parsed: ast.expr, series: Mapping[str, Series]) -> list[Series]:
    named = {node.id for node in ast.walk(parsed) if isinstance(node, ast.Name)}
    return [points for key, points in series.items() if key in named]


def evaluate(expression: str, series: Mapping[str, Series], starts: Sequence[int]) -> Series:
    """Evaluate an expression over the period starts (oldest first). Raises ExpressionError.

    A plain number gives the same value at every start.
    """
    parsed = _parse(expression)
    result = _Evaluator(series, starts, _used(parsed, series)).value(parsed)
    return result if isinstance(result, dict) else dict.fromkeys(starts, result)
