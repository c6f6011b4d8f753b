"""The bulk job: parts of a corpus or of the documents log, embedded by one process or by a Ray cluster."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from loadtests.corpora.choice import choose
from loadtests.corpora.corpus import Corpus
from loadtests.errors import LoadTestError
from service.embedding.splitter import texts_of
from service.indexer.bulk import Batch, BulkEmbedder, Embedded, LogSource, Part, Source
from service.storage.builds import Recipe

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BATCH_DOCUMENTS = 100


class BulkError(LoadTestError):
    """A bulk job that can't start."""


class BulkFailure(Exception):
    """A bulk job that ended before all was embedded."""


class CorpusSource:
    """A corpus as a source. Every worker reads it from its beginning, so a file must be on each machine."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self.size = sum(1 for _ in corpus.documents())

    def batches(self, part: Part, recipe: Recipe) -> Iterator[Batch]:
        """Yield the texts of a part. Raise CorpusError."""
        numbers = part.of(self.size)
        documents = islice(self._corpus.documents(), numbers.start, numbers.stop)
        while some := [*islice(documents, BATCH_DOCUMENTS)]:
            texts = [text for one in some for text in texts_of(one.title, one.text, recipe.chunking)]
            yield Batch(len(some), texts)


@dataclass(frozen=True)
class Job:
    """A slot to embed for, by its prefix of SSM parameters, and a corpus; the documents log if that is None.

    `environment` leads to the slot's AWS. A local model's files are in `model_folder` on each machine.
    """

    parameters: str
    slot: str
    corpus: str | None
    model_folder: str
    environment: Mapping[str, str]

    def open(self) -> Opened:
        """Load the model and find the source. Raise the errors of BulkEmbedder, of the log and of corpora."""
        os.environ.update(self.environment)
        worker = BulkEmbedder(self.parameters, self.slot, self.model_folder)
        source: Source = (
            LogSource(worker.documents, worker.until) if self.corpus is None else CorpusSource(choose(self.corpus))
        )
        return Opened(worker, source)


@dataclass(frozen=True)
class Opened:
    """A worker with its source."""

    worker: BulkEmbedder
    source: Source

    def embed(self, part: Part) -> Embedded:
        """Embed one part."""
        return self.worker.embed(self.source.batches(part, self.worker.recipe))


class RayWorker:
    """A worker as an actor of Ray Data, which gives it the numbers of parts."""

    def __init__(self, job: Job, count: int) -> None:
        self._opened, self._count = job.open(), count

    def __call__(self, rows: dict[str, npt.NDArray[np.int64]]) -> dict[str, list[int]]:
        """Embed the parts of a batch; return their counts as columns."""
        done = [self._opened.embed(Part(int(number), self._count)) for number in rows["id"]]
        return {name: [getattr(one, name) for one in done] for name in Embedded._fields}


def embed_on_ray(job: Job, count: int, workers: int, address: str) -> Iterator[Embedded]:
    """Embed `count` parts by so many workers of the cluster at `address`; without one on this machine.

    Ray starts a worker that died again, and gives its part to another. Raise BulkError and BulkFailure.
    """
    # A program that sends its usage elsewhere is not what anybody asked for.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
        import ray.data
    except ModuleNotFoundError:
        raise BulkError(
            "Workers need Ray, which is not installed. Install it with `make bulk`, or embed a part on each machine "
            "by hand, as with --part 1/8"
        ) from None
    # Workers hold their processors to the end, and the numbers of parts need one, too.
    local: dict[str, Any] = {} if address else {"num_cpus": workers + 1, "_node_ip_address": "127.0.0.1"}
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level="error",
            **local,
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        parts = ray.data.range(count, override_num_blocks=count)
        done = parts.map_batches(
            RayWorker, fn_constructor_args=(job, count), batch_size=1, concurrency=workers, num_cpus=1
        )
        # Ray prints what befalls its workers, and standard output is for the result.
        with redirect_stdout(sys.stderr):
            for row in done.iter_rows():
                yield Embedded(**row)
    except (ray.exceptions.RayError, ConnectionError) as error:
        cause = getattr(error, "cause", None) or error
        raise BulkFailure(
            f"The bulk job ended: {cause}. Call it again to go on: what is remembered is not embedded again"
        ) from error
    finally:
        ray.shutdown()
