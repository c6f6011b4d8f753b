"""Which corpus is meant: one by its name, or a file."""

from __future__ import annotations

from pathlib import Path

from loadtests.corpora.corpus import Corpus, CorpusError

# Each is imported when it is meant: one brings botocore along, another the service's limits with numpy.
NAMES = ("aws", "python")
DEFAULT = "aws"
FILE_ENDING = ".jsonl"


def choose(corpus: str, questions: Path | None = None, *, small: bool = False, hold_back: bool = False) -> Corpus:
    """
    The corpus of a name, or of a file FILE.jsonl, with its own golden questions or those of a file.

    `small` takes the part that does for a short rehearsal. `hold_back` keeps some documents of a file for arriving
    under load; the other corpora have some beside. Raises CorpusError or GoldenSetError.
    """
    if corpus == "aws":
        from loadtests.corpora import aws

        return aws.AwsReference(aws.SMALL if small else None, questions or aws.QUESTIONS)
    if corpus == "python":
        from loadtests.corpora import python

        return python.PythonDocumentation(python.SMALL if small else None, questions or python.QUESTIONS)
    if corpus.endswith(FILE_ENDING):
        from loadtests.corpora import lines

        most = lines.SMALL_DOCUMENTS if small else None
        return lines.LinesCorpus(Path(corpus), questions, most=most, hold_back=hold_back)
    raise CorpusError(
        f"{corpus!r} is no corpus; there are {' and '.join(NAMES)}, and any file that ends in {FILE_ENDING}."
    )
