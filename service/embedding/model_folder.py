"""The folder of a sentence-transformers model exported to ONNX, and the files that decide its vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from service.embedding.model import UnknownModel

MODELS = ("model.onnx", "onnx/model.onnx")
TOKENIZER = "tokenizer.json"
LIMIT = "sentence_bert_config.json"
POOLING = "1_Pooling/config.json"
PROMPTS = "config_sentence_transformers.json"
MODULES = "modules.json"
FILES = (*MODELS, TOKENIZER, LIMIT, POOLING, PROMPTS, MODULES)
VERSION_DIGITS = 12
# Names under which models keep the words that go before a document.
DOCUMENT_PROMPTS = ("document", "passage", "corpus")
COMPUTED_MODULES = {"Transformer", "Pooling", "Normalize"}

Pooling = Literal["mean", "cls"]
Said = TypeVar("Said")


class _Limit(msgspec.Struct):
    max_seq_length: Annotated[int, msgspec.Meta(ge=1)] | None = None


class _Prompts(msgspec.Struct):
    prompts: Mapping[str, str] = {}
    default_prompt_name: str | None = None


class _Module(msgspec.Struct):
    type: str


class ModelFolder:
    """The folder of one model, with its files as they were when this was made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model_path = self._one_of(MODELS)
        self.tokenizer_path = self._one_of((TOKENIZER,))

    @property
    def digest(self) -> str:
        """The sha256, in hex, of the output of `sha256sum` for those of FILES that exist, in that order."""
        there = [name for name in FILES if (self.folder / name).is_file()]
        lines = "".join(f"{_sha256(self.folder / name)}  {name}\n" for name in there)
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def most_tokens(self) -> int | None:
        """The most tokens of a text that the model takes, its own marks included; None if the export does not say."""
        return self._read(LIMIT, _Limit, _Limit()).max_seq_length

    @property
    def pooling(self) -> Pooling:
        """The way in which token vectors become one: their mean if the export does not say."""
        said = self._read(POOLING, dict[str, Any], {"pooling_mode_mean_tokens": True})
        modes = {key.removeprefix("pooling_mode_") for key, on in said.items() if on is True and "pooling_mode_" in key}
        if said.get("include_prompt") is False:
            modes.add("include_prompt false")
        if modes == {"mean_tokens"}:
            return "mean"
        if modes == {"cls_token"}:
            return "cls"
        raise UnknownModel(
            f"{self.folder / POOLING} wants {', '.join(sorted(modes)) or 'no known pooling'}; allowed: "
            "pooling_mode_mean_tokens or pooling_mode_cls_token, or an export whose output is sentence_embedding"
        )

    def prompt(self, *, query: bool) -> str:
        """Return the text that the model wants before each query or document; mostly empty."""
        said = self._read(PROMPTS, _Prompts, _Prompts())
        names = (*(("query",) if query else DOCUMENT_PROMPTS), said.default_prompt_name)
        return next((said.prompts[name] for name in names if name in said.prompts), "")

    def check_modules(self) -> None:
        """Raise UnknownModel if the export has modules that are not computed here."""
        modules = self._read(MODULES, list[_Module], [])
        kinds = {module.type.rsplit(".", 1)[-1] for module in modules}
        if more := kinds - COMPUTED_MODULES:
            raise UnknownModel(
                f"{self.folder / MODULES} names {', '.join(sorted(more))}, which is not computed here; export the "
                "model with the output sentence_embedding, which holds it"
            )

    def _one_of(self, names: tuple[str, ...]) -> Path:
        paths = [self.folder / name for name in names]
        found = next((path for path in paths if path.is_file()), None)
        if found is None:
            raise UnknownModel(
                f"{' or '.join(map(str, paths))} does not exist; a model folder for provider onnx holds "
                f"{MODELS[0]} and {TOKENIZER}, as sentence-transformers exports them"
            )
        return found

    def _read(self, name: str, kind: type[Said], otherwise: Said) -> Said:
        path = self.folder / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind) if path.is_file() else otherwise
        except msgspec.MsgspecError as error:
            raise UnknownModel(f"{path} can't be read: {error}") from error


def check_version(found: str, configured: str) -> None:
    """Raise UnknownModel unless the configured version is the beginning of the digest."""
    if found[:VERSION_DIGITS] != configured:
        raise UnknownModel(
            f"embedding version {configured} is configured, the model's files have {found[:VERSION_DIGITS]}: vectors "
            "of two versions must not meet; provide the files of this version, or re-index for the other"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
