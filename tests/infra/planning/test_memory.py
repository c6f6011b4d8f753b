"""The formula and the measured model of memory."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.facts.index_parameters import INDEX_TYPES, IndexType
from infra.planning import memory
from infra.planning.memory import (
    Rows,
    codes_of,
    disagreement,
    generations_factor,
    index_bytes,
    index_terms,
    lists_of,
    measured_terms,
    ram,
    total_bytes,
    written_entries,
    written_rows,
    written_terms,
)
from infra.planning.shard_size import MAX_VECTORS_PER_SHARD
from service.index import ivf_pq, rebuild_policy
from service.storage.builds import IndexParameters

VECTORS = st.integers(1, 10**10)
DIMS = st.integers(2, 16_384)


def test_the_worked_examples_in_the_docstrings_hold() -> None:
    results = doctest.testmod(memory)
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


@given(VECTORS, VECTORS, DIMS, st.sampled_from(INDEX_TYPES))
def test_more_vectors_never_need_less_memory(one: int, other: int, dims: int, index: IndexType) -> None:
    few, many = sorted((one, other))

    def model(vectors: int) -> int:
        return total_bytes(measured_terms(Rows(vectors, dims, index), chunk_bytes=300))

    assert ram(vectors=few, dims=dims).recommended_bytes <= ram(vectors=many, dims=dims).recommended_bytes
    assert model(few) <= model(many)


@pytest.mark.parametrize(
    ("dims", "m", "measured"), [(96, 16, 1.656), (384, 16, 1.165), (768, 16, 1.101), (1024, 32, 1.107)]
)
def test_the_row_model_is_within_two_percent_of_measured_memory(dims: int, m: int, measured: float) -> None:
    assert index_bytes(Rows(10**6, dims, m=m)) / (10**6 * dims * 4) == pytest.approx(measured, rel=0.02)


def test_the_formula_is_short_below_125_dimensions() -> None:
    assert generations_factor(Rows(10**6, 120)) > 3
    assert generations_factor(Rows(10**6, 135)) < 3


def test_index_types_are_ordered_by_memory() -> None:
    flat, hnsw, ivf, pq = (index_bytes(Rows(10**6, 768, index)) for index in INDEX_TYPES)
    assert pq < flat < ivf < hnsw


@pytest.mark.parametrize("index", INDEX_TYPES)
def test_every_type_pays_for_a_second_generation(index: IndexType) -> None:
    rows = Rows(10**6, 768, index)
    terms = {term.name: term.bytes for term in measured_terms(rows, chunk_bytes=300)}
    assert terms["second generation"] == index_bytes(rows)
    assert {"text", "delta", "process"} <= terms.keys()


def test_codes_are_a_sixteenth_of_the_vectors() -> None:
    terms = {term.name: term.bytes for term in measured_terms(Rows(10**6, 768, "pq"), chunk_bytes=300)}
    assert terms["codes"] == 10**6 * 768 * 4 // 16


def test_the_parts_of_inverted_lists_and_codes() -> None:
    rows = 10**6
    ivf = {term.name: term.bytes for term in index_terms(Rows(rows, 768, "ivf"))}
    assert ivf == {"vectors": rows * 3072, "list ids": rows * 8, "centroids": 4000 * 3072}
    pq = {term.name: term.bytes for term in index_terms(Rows(rows, 768, "pq"))}
    assert pq == {"codes": rows * 192, "codebooks": 256 * 3072, "list ids": rows * 8, "centroids": 4000 * 3072}


def test_requested_lists_and_code_dimensions_are_used() -> None:
    asked = {term.name: term.bytes for term in index_terms(Rows(10**6, 768, "pq", lists=500, code_dims=8))}
    assert (asked["codes"], asked["centroids"]) == (10**6 * 96, 500 * 3072)


@given(st.integers(1, 10**7), st.integers(2, 1024), st.integers(1, 64), st.integers(0, 10**6))
def test_codes_and_lists_have_the_services_numbers(rows: int, dims: int, code_dims: int, lists: int) -> None:
    made = IndexParameters("pq", "cosine", 16, 100, 100, lists=lists, code_dims=code_dims)
    asked = Rows(rows, dims, "pq", lists=lists, code_dims=code_dims)
    assert codes_of(asked) == ivf_pq.subvectors_of(made, dims)
    assert lists_of(asked) == ivf_pq.lists_of(made, rows)


@given(st.integers(0, 10**9))
def test_written_rows_have_the_services_limit(base: int) -> None:
    assert rebuild_policy.large_delta_rows(base) <= written_rows(base) <= rebuild_policy.large_delta_rows(base) + 1


@given(st.integers(0, 10**9))
def test_written_entries_have_the_services_limit(base: int) -> None:
    assert rebuild_policy.long_log_entries(base) <= written_entries(base) <= rebuild_policy.long_log_entries(base) + 1


def test_segments_have_vectors_index_and_text() -> None:
    segment = 10_000 * 3072
    graph = 10_000 * (3072 + 137.6 + 60 + 48)
    terms = {term.name: term.bytes for term in written_terms(Rows(10**6, 768), chunk_bytes=330)}
    assert terms == {"segments": 24 * (segment + graph), "written text": 250_000 * (330 + 160)}
    flat = {term.name: term.bytes for term in written_terms(Rows(10**6, 768, "flat"), chunk_bytes=330)}
    assert flat["segments"] == 24 * segment
    assert written_terms(Rows(40_000, 768), chunk_bytes=330)[0].bytes == 0
    (exact,) = [term for term in measured_terms(Rows(10**6, 768), chunk_bytes=330) if term.name == "delta"]
    assert exact.bytes == segment


def test_a_disagreement_names_its_cause() -> None:
    rows = Rows(10**7, 96)
    sentence = disagreement(
        rows,
        formula_bytes=ram(vectors=10**7, dims=96).recommended_bytes,
        measured_bytes=total_bytes(measured_terms(rows, chunk_bytes=300)),
    )
    assert sentence is not None
    assert "two generations alone take 3.28 ×" in sentence
    assert sentence.endswith("the plan reserves the larger.")


def test_a_difference_below_a_tenth_is_agreement() -> None:
    assert disagreement(Rows(1, 256), formula_bytes=100, measured_bytes=109) is None


def test_ten_million_vectors_are_the_most_of_a_shard() -> None:
    assert MAX_VECTORS_PER_SHARD == 10_000_000
