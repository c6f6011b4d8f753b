from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.corpora.aws import QUESTIONS, SMALL, AwsReference, plain_text, service_name
from loadtests.corpora.corpus import CorpusError, Document
from loadtests.corpora.questions import GoldenSetError, load, refuse_unknown, services

TAG = re.compile(r"</?(p|li|ul|ol|code|a|i|b|note|important|dl|dt|dd|h2|strong|em|pre)\b[^>]*>")

ENTITY = re.compile(r"&(amp|lt|gt|quot|nbsp|#\d+);")


def write_service(root: Path, service: str, version: str, **described: Any) -> None:
    folder = root / service / version
    folder.mkdir(parents=True)
    contents = {"metadata": {}, "operations": {}, "shapes": {}, **described}
    (folder / "service-2.json.gz").write_bytes(gzip.compress(json.dumps(contents).encode()))


def operations(*names: str) -> dict[str, dict[str, str]]:
    return {name: {"documentation": f"<p>Does {name}.</p>"} for name in names}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    metadata = {"serviceFullName": "Amazon Simple Shop", "serviceId": "Shop"}
    write_service(tmp_path, "shop", "2020-01-01", metadata=metadata, operations=operations("SellThing", "BuyThing"))
    write_service(tmp_path, "shop", "2010-01-01", metadata=metadata, operations=operations("BuyThing"))
    write_service(tmp_path, "bank", "2020-01-01", metadata=metadata, operations=operations("PayOut"))
    return tmp_path


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One  two\n three.</p>", "One two three."),
        ("<p>Use <code>a&amp;b</code> &lt;now&gt;.</p>", "Use a&b <now>."),
        ("<ul><li><p>first</p></li><li><p>second.</p></li></ul>", "first. second."),
        ("<p>As follows:</p><ul><li>one</li></ul>", "As follows: one."),
        ("<ul><li>one</li><li>two</li></ul>", "one. two."),
        ("plain", "plain."),
        ("<p> </p><note/>", ""),
        ("", ""),
        ("a<br>b", "a. b."),
        ("unclosed <b>bold", "unclosed bold."),
    ],
)
def test_html_becomes_sentences(html: str, text: str) -> None:
    assert plain_text(html) == text


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), max_size=8))
def test_every_list_item_survives_apart_from_the_others(items: list[str]) -> None:
    html = "<ul>" + "".join(f"<li><p>{item}</p></li>" for item in items) + "</ul>"
    assert plain_text(html) == " ".join(f"{item}." for item in items)


@pytest.mark.parametrize(
    ("full", "short", "name"),
    [
        ("Amazon Elastic Compute Cloud", "EC2", "Amazon Elastic Compute Cloud (EC2)"),
        ("Amazon CloudFront", "CloudFront", "Amazon CloudFront"),
        ("Amazon Route 53", "Route 53", "Amazon Route 53"),
        ("AmazonMQ", "mq", "AmazonMQ"),
        ("AmazonApiGatewayV2", "ApiGatewayV2", "Amazon ApiGatewayV2"),
        (None, "Shop", "Shop"),
    ],
)
def test_service_name_has_both_names_unless_one_has_the_other(full: str | None, short: str, name: str) -> None:
    assert service_name({"serviceFullName": full, "serviceId": short}) == name


def test_documents_come_by_service_version_and_name(small: Path) -> None:
    corpus = AwsReference(root=small)
    assert [document.source_id for document in corpus.documents()] == [
        "aws/bank/2020-01-01/PayOut",
        "aws/shop/2010-01-01/BuyThing",
        "aws/shop/2020-01-01/BuyThing",
        "aws/shop/2020-01-01/SellThing",
    ]
    assert next(corpus.documents()) == Document(
        "aws/bank/2020-01-01/PayOut", "Amazon Simple Shop: pay out", "Does PayOut."
    )


def test_a_profile_keeps_some_services_and_the_first_documents(small: Path) -> None:
    assert len(list(AwsReference(services=["shop"], root=small).documents())) == 3
    assert [d.source_id for d in AwsReference(root=small).documents(limit=1)] == ["aws/bank/2020-01-01/PayOut"]
    assert list(AwsReference(root=small).documents(limit=0)) == []


def test_what_says_nothing_is_skipped_and_counted_for_each_pass(tmp_path: Path) -> None:
    silent = {"Silent": {}, "Empty": {"documentation": "<p> </p>"}, **operations("Talks")}
    write_service(tmp_path, "shop", "2020-01-01", operations=silent)
    corpus = AwsReference(root=tmp_path)
    for _ in range(2):
        assert [document.source_id for document in corpus.documents()] == ["aws/shop/2020-01-01/Talks"]
        assert corpus.skipped == 2


def test_parameters_are_documents_when_they_say_enough(tmp_path: Path) -> None:
    said = "<p>" + "word " * 20 + "</p>"
    members = {"MinCount": {"documentation": said}, "DryRun": {"documentation": "<p>Short.</p>"}, "Bare": {}}
    shapes = {"RunInstancesRequest": {"type": "structure", "members": members}, "Name": {"type": "string"}}
    metadata = {"serviceFullName": "Amazon Elastic Compute Cloud", "serviceId": "EC2"}
    write_service(tmp_path, "ec2", "2016-11-15", metadata=metadata, shapes=shapes)
    corpus = AwsReference(root=tmp_path)
    (document,) = corpus.fresh()
    assert document.source_id == "param/ec2/2016-11-15/RunInstancesRequest.MinCount"
    assert document.title == "Amazon Elastic Compute Cloud (EC2): run instances request, min count"
    assert document.text == "word " * 19 + "word."
    assert corpus.skipped == 2


def test_an_unknown_service_is_refused_by_name(small: Path) -> None:
    with pytest.raises(CorpusError, match="--services nosuch is unknown; give botocore's names"):
        AwsReference(services=["shop", "nosuch"], root=small)


def test_a_folder_without_service_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no service files"):
        AwsReference(root=tmp_path)


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(b"no json"), gzip.compress(b"{}")[:-6]], ids=["no gzip", "no json", "cut"]
)
def test_a_damaged_service_file_is_named(small: Path, content: bytes) -> None:
    (small / "bank/2020-01-01/service-2.json.gz").write_bytes(content)
    with pytest.raises(CorpusError, match=r"bank/2020-01-01/service-2\.json\.gz is not a service file"):
        list(AwsReference(root=small).documents())


@pytest.fixture(scope="module")
def everything() -> list[Document]:
    return list(AwsReference().documents())


def test_the_reference_is_as_large_as_planned(everything: list[Document]) -> None:
    assert 20_000 < len(everything) < 30_000
    assert 5_000_000 < sum(len(document.text) for document in everything) < 10_000_000


def test_every_source_id_is_unique_and_has_its_form(everything: list[Document]) -> None:
    ids = [document.source_id for document in everything]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"aws/[a-z0-9-]+/\d{4}-\d\d-\d\d/[A-Z]\w+", source_id) for source_id in ids)


def test_no_html_is_left(everything: list[Document]) -> None:
    # A few descriptions spell a tag or an entity as text (&lt;note&gt;, &amp;amp;); decoding rightly shows it.
    assert sum(bool(TAG.search(document.text)) for document in everything) <= 3
    assert sum(bool(ENTITY.search(document.text)) for document in everything) <= 2
    assert not any("\n" in document.text or "  " in document.text for document in everything)


def test_every_document_has_a_heading_and_a_text(everything: list[Document]) -> None:
    assert all(document.title.strip() and document.text.strip() for document in everything)
    by_id = {document.source_id: document for document in everything}
    terminate = by_id["aws/ec2/2016-11-15/TerminateInstances"]
    assert terminate.title == "Amazon Elastic Compute Cloud (EC2): terminate instances"
    assert terminate.text.startswith("Terminates (deletes) the specified instances.")


def test_parameters_of_a_real_service_are_many_and_unique() -> None:
    ids = [document.source_id for document in AwsReference(services=["ec2"]).fresh()]
    assert len(ids) > 2_000
    assert len(set(ids)) == len(ids)


def test_reading_twice_gives_the_same() -> None:
    corpus = AwsReference(services=["sqs", "sns"])
    assert list(corpus.documents()) == list(corpus.documents())
    assert list(corpus.fresh(limit=50)) == list(corpus.fresh(limit=50))


def test_every_operation_of_the_golden_set_exists(everything: list[Document]) -> None:
    questions = load(QUESTIONS)
    refuse_unknown(questions, {document.source_id for document in everything}, QUESTIONS)
    assert len(questions) >= 120
    assert len(services(questions)) >= 50


def test_no_question_is_asked_twice() -> None:
    asked = [question.question.casefold() for question in load(QUESTIONS)]
    assert len(set(asked)) == len(asked)


def test_services_have_the_questions_they_can_answer() -> None:
    few = AwsReference(SMALL).questions()
    assert 50 < len(few) < len(AwsReference().questions()) == len(load(QUESTIONS))
    assert all(services([question]) & set(SMALL) for question in few)


def golden(tmp_path: Path, accepted: str) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(f"- id: mine\n  question: why?\n  {accepted}\n")
    return path


def test_custom_questions_name_operations_or_documents(small: Path, tmp_path: Path) -> None:
    for accepted in ("operations: [shop:BuyThing]", "documents: [aws/shop/2010-01-01/BuyThing]"):
        (asked,) = AwsReference(questions=golden(tmp_path, accepted), root=small).questions()
        assert asked.id == "mine"


def test_services_that_answer_no_question_are_refused(small: Path, tmp_path: Path) -> None:
    own = golden(tmp_path, "operations: [shop:BuyThing]")
    with pytest.raises(GoldenSetError, match="None of the golden questions can be answered by the operations of the"):
        AwsReference(["bank"], own, root=small).questions()


@pytest.mark.parametrize(
    ("accepted", "named"),
    [
        ("operations: [shop:GiveAway]", "shop:GiveAway"),
        ("operations: [nosuch:BuyThing]", "nosuch:BuyThing"),
        ("documents: [aws/shop/1999-01-01/BuyThing]", "aws/shop/1999-01-01/BuyThing"),
    ],
)
def test_custom_questions_with_unknown_answers_are_refused(
    small: Path, tmp_path: Path, accepted: str, named: str
) -> None:
    with pytest.raises(GoldenSetError, match=f"question mine lists {named}, which is not a document of the corpus"):
        AwsReference(questions=golden(tmp_path, accepted), root=small).questions()
