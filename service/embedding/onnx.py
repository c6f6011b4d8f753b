"""Sentence-transformers models in the process, through onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer

from service.embedding.model import (
    Access,
    EmbeddingError,
    ModelUnavailable,
    UnknownModel,
    Vectors,
    flaw,
    gathered,
    unit,
)
from service.embedding.model_folder import LIMIT, ModelFolder, check_version
from service.storage.builds import Embedding

POOLED = "sentence_embedding"
NUMBERS: Mapping[str, type[np.integer[Any]]] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
ERRORS_ONLY = 3  # one of onnxruntime's levels of severity
TOKENS_RANK = 3  # text, token, dimension


class OnnxEmbedder:
    """One text a run, and as many runs side by side as the process has CPUs. A text beyond the model's limit is cut.

    The constructor embeds the longest text that the model takes, so a model that can't run fails at once.
    """

    def __init__(self, embedding: Embedding, access: Access) -> None:
        if not access.folder:
            raise UnknownModel("provider onnx needs a model folder; set VECTORFLEET_MODEL_FOLDER")
        export = ModelFolder(Path(access.folder))
        digest = export.digest
        check_version(digest, embedding.version)
        self.fingerprint = f"onnx-{embedding.model}-{digest[:16]}"
        self._dims = embedding.dims
        self._tokens = Tokens(export)
        self._network = Network(export)
        self.side_by_side = len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self.side_by_side, thread_name_prefix="embedding")
        self._try(self._tokens.longest())

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> Vectors:
        """Return vectors that depend on their own text alone, not on others in the batch."""
        if len(texts) == 1:
            return gathered([self._outcome(texts[0], query)], self._dims, reasons)
        return gathered(list(self._pool.map(lambda text: self._outcome(text, query), texts)), self._dims, reasons)

    def _outcome(self, text: str, query: bool) -> Vectors | EmbeddingError:
        try:
            encoding = self._tokens.of(text, query=query)
            return self._vector(encoding) if encoding is not None else np.zeros(self._dims, np.float32)
        except Exception as error:
            fault = f"{self._network.path} fails on it: {error}"
            failed = error if isinstance(error, EmbeddingError) else EmbeddingError(fault)
        try:
            self._vector(self._tokens.longest())
        except Exception as error:
            # For example short of memory: no text is to blame.
            raise ModelUnavailable(f"{failed}; and on another text: {error}") from error
        return failed

    def _vector(self, encoding: Encoding) -> Vectors:
        made = self._network.vector(encoding)
        if problem := flaw(made):
            raise EmbeddingError(problem)
        vector: Vectors = unit(made)[0]
        return vector

    def _try(self, encoding: Encoding) -> None:
        try:
            shape = self._network.vector(encoding).shape
        except Exception as error:
            raise UnknownModel(
                f"{self._network.path} can't embed the {len(encoding)} tokens that {LIMIT} allows: {error}"
            ) from error
        if shape != (1, self._dims):
            raise UnknownModel(
                f"{self._network.path} makes vectors of shape {shape[1:]}; the configuration has {self._dims} "
                "dimensions, so set dims to what the model has, or name another model"
            )


class Tokens:
    """The tokenizer: the model's prompt, its marks and at most as many tokens as it takes."""

    def __init__(self, export: ModelFolder) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(export.tokenizer_path))
        except Exception as error:
            raise UnknownModel(f"{export.tokenizer_path} is not a tokenizer: {error}") from error
        most = export.most_tokens or (self._tokenizer.truncation or {}).get("max_length")
        if not most:
            raise UnknownModel(
                f"{export.folder} does not say how many tokens the model takes; add {LIMIT} with max_seq_length"
            )
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(most)
        self._most = most
        self._prompts = {query: export.prompt(query=query) for query in (True, False)}
        self._special = {key for key, token in self._tokenizer.get_added_tokens_decoder().items() if token.special}

    def of(self, text: str, *, query: bool) -> Encoding | None:
        """Return the text's tokens; None if all are marks or stand for unknown text."""
        prompt = self._prompts[query]
        encoding = self._tokenizer.encode(prompt + text)
        ends = (end for _, end in encoding.offsets)
        own = (key for key, end in zip(encoding.ids, ends, strict=True) if end > len(prompt))
        return encoding if any(key not in self._special for key in own) else None

    def longest(self) -> Encoding:
        """Return as many tokens as the model takes."""
        return self._tokenizer.encode("word " * self._most)


class Network:
    """The network of the model; safe to run from several threads."""

    def __init__(self, export: ModelFolder) -> None:
        self.path = export.model_path
        options = onnxruntime.SessionOptions()
        # Parallel runs use the CPUs better than one run that is spread over them.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise UnknownModel(f"{self.path} is not a model that onnxruntime can run: {error}") from error
        self._inputs = {one.name: _numbers(self.path, one) for one in self._session.get_inputs()}
        self._output = _output(self.path, self._session.get_outputs())
        if self._output == POOLED:
            self._pooling = None
        else:
            export.check_modules()
            self._pooling = export.pooling

    def vector(self, encoding: Encoding) -> Vectors:
        """Return the vector of one text, shape (1, dims), of any length."""
        made = {"input_ids": encoding.ids, "token_type_ids": encoding.type_ids}
        made["attention_mask"] = encoding.attention_mask
        given = {name: np.asarray([made[name]], numbers) for name, numbers in self._inputs.items()}
        (answer,) = self._session.run([self._output], given)
        if self._pooling is not None:
            answer = answer[:, 0] if self._pooling == "cls" else answer.mean(axis=1)
        return np.asarray(answer, np.float32)


def _numbers(path: Path, one: Any) -> type[np.integer[Any]]:
    if one.name not in ("input_ids", "attention_mask", "token_type_ids") or one.type not in NUMBERS:
        raise UnknownModel(
            f"{path} wants {one.name} as {one.type}; allowed: input_ids, attention_mask and token_type_ids, of int64 "
            "or int32"
        )
    return NUMBERS[one.type]


def _output(path: Path, outputs: Sequence[Any]) -> str:
    names = [one.name for one in outputs if one.name == POOLED or len(one.shape) == TOKENS_RANK]
    if not names:
        raise UnknownModel(
            f"{path} gives {', '.join(one.name for one in outputs)}; allowed: {POOLED}, or vectors of tokens, "
            "shape (batch, tokens, dimensions)"
        )
    return POOLED if POOLED in names else str(names[0])
