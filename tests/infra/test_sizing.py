"""The contract's formula, and the measured model beside it."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import sizing
from infra.sizing import disagreement, hnsw_row_bytes, measured_terms, ram, switch_factor, total_bytes

VECTORS = st.integers(1, 10**10)
DIMS = st.integers(2, 16_384)


def test_the_worked_examples_in_the_docstrings_hold() -> None:
    results = doctest.testmod(sizing)
    assert results.attempted > 3
    assert results.failed == 0


def test_one_million_by_1536_is_the_lessons_example() -> None:
    steps = ram(vectors=1_000_000, dims=1536)
    assert (steps.floor_bytes, steps.index_bytes, steps.recommended_bytes) == (
        6_144_000_000,
        12_288_000_000,
        18_432_000_000,
    )


@given(VECTORS, DIMS)
def test_each_step_is_a_floor_of_the_next(vectors: int, dims: int) -> None:
    steps = ram(vectors=vectors, dims=dims)
    assert vectors * dims * 4 == steps.floor_bytes
    assert steps.index_bytes == 2 * steps.floor_bytes
    assert steps.recommended_bytes * 2 == steps.index_bytes * 3


@given(VECTORS, VECTORS, DIMS)
def test_more_vectors_never_need_less_memory(one: int, other: int, dims: int) -> None:
    few, many = sorted((one, other))

    def model(vectors: int) -> int:
        return total_bytes(measured_terms(vectors=vectors, dims=dims, m=16, chunk_bytes=300))

    assert ram(vectors=few, dims=dims).recommended_bytes <= ram(vectors=many, dims=dims).recommended_bytes
    assert model(few) <= model(many)


@pytest.mark.parametrize(
    ("dims", "m", "measured"), [(96, 16, 1.656), (384, 16, 1.165), (768, 16, 1.101), (1024, 32, 1.107)]
)
def test_the_row_model_is_within_two_percent_of_measured_memory(dims: int, m: int, measured: float) -> None:
    assert hnsw_row_bytes(dims=dims, m=m) / (dims * 4) == pytest.approx(measured, rel=0.02)


def test_the_formula_is_short_of_two_generations_below_about_125_dimensions() -> None:
    assert switch_factor(dims=120, m=16) > 3
    assert switch_factor(dims=135, m=16) < 3


def test_a_disagreement_names_its_cause() -> None:
    terms = measured_terms(vectors=10**7, dims=96, m=16, chunk_bytes=300)
    sentence = disagreement(
        formula_bytes=ram(vectors=10**7, dims=96).recommended_bytes,
        measured_bytes=total_bytes(terms),
        dims=96,
        m=16,
    )
    assert sentence is not None
    assert "two generations alone take 3.28 ×" in sentence
    assert sentence.endswith("the plan reserves the larger.")


def test_a_difference_below_a_tenth_is_agreement() -> None:
    assert disagreement(formula_bytes=100, measured_bytes=109, dims=256, m=16) is None
