"""The choice of a corpus by its name or file."""

from __future__ import annotations

from pathlib import Path

from loadtests.corpora.corpus import Corpus, CorpusError

NAMES = ("aws", "python")
DEFAULT = "aws"
FILE_ENDING = ".jsonl"


def choose(corpus: str, questions: Path | None = None, *, small: bool = False, hold_back: bool = False) -> Corpus:
    """
    Return the corpus of a name or of a file FILE.jsonl, with its own golden questions or those of a file.

    `small` takes a part, for a short rehearsal. `hold_back` keeps some documents of a file for writing under load; the
    named corpora have others for that. Raises CorpusError or GoldenSetError.
    """
    # Imported when chosen: one corpus needs botocore, another the service's limits with numpy.
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
    raise CorpusError(f"--corpus {corpus} is unknown. Choose {', '.join(NAMES)}, or a file that ends in {FILE_ENDING}.")
