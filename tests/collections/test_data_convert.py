"""Formats of the field to collections: values stated by hand, miniatures in the exact layouts of the originals."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from conftest import FIXTURES, ROOT, Run, records
from hypothesis import given
from hypothesis import strategies as st

from xqe.cli import run
from xqe.collections import formats
from xqe.collections.conversion import Material, Seen, convert
from xqe.collections.layout import Collection
from xqe.collections.options import Options
from xqe.errors import InputError, XqeError
from xqe.files import irdatasets
from xqe.files.fields import ID_AND_REST
from xqe.files.fingerprints import fingerprints
from xqe.files.forms import DOCUMENTS, QUERIES, Form, Kind
from xqe.files.records import Document, check_document, check_query
from xqe.files.rows import Rows
from xqe.files.trec import read_qrels

MULTI8 = FIXTURES / "clirmatrix" / "MULTI-8"
BI139 = FIXTURES / "clirmatrix" / "BI-139"
MMARCO = FIXTURES / "mmarco"


def converted(tmp_path: Path, form: str, path: Path, **options: Any) -> Collection:
    return convert(formats.read(form, [str(path)], Options(**options)), tmp_path / "out")


def read_documents(collection: Collection, lang: str) -> dict[str, str]:
    with gzip.open(collection.documents(lang), "rt", encoding="utf-8") as file:
        return {one["id"]: one["text"] for one in map(json.loads, file)}


def qrels(collection: Collection, split: str, queries: str, documents: str) -> list[str]:
    return collection.qrels(split, queries, documents).read_text().splitlines()


# ---------------------------------------------------------------- CLIRMatrix


def test_multi8(tmp_path: Path) -> None:
    collection = converted(tmp_path, "clirmatrix", MULTI8)
    assert collection.name == "clirmatrix-multi8"
    assert collection.splits == ["test1", "train"]
    assert collection.document_languages == ["de", "en", "ja"]
    pairs = [("de", "en"), ("de", "ja"), ("en", "de"), ("en", "ja"), ("ja", "de"), ("ja", "en")]
    assert sorted(collection.pairs("test1")) == sorted(collection.pairs("train")) == pairs
    assert collection.read_queries("test1", "de") == {
        "102": "Merkur (Planet)",
        "104": "Quecksilber",
        "106": "Seidenstraße",
    }
    assert collection.read_queries("test1", "ja") == {"103": "水星", "105": "水銀", "107": "シルクロード"}
    # the file is de.en: German queries for English documents, grades 6 to 0, without the document that DOCS lacks
    assert qrels(collection, "test1", "de", "en") == [
        *("102 0 101 6", "102 0 102 4", "102 0 103 1", "102 0 104 0"),
        *("104 0 103 6", "104 0 104 4", "104 0 105 1", "104 0 106 0"),
        *("106 0 105 6", "106 0 106 4", "106 0 107 1", "106 0 108 0"),
    ]
    assert qrels(collection, "train", "ja", "de")[0] == "106 0 105 6"
    assert {lang: collection.document_count(lang) for lang in ("de", "en", "ja")} == dict.fromkeys(
        ("de", "en", "ja"), 8
    )
    assert read_documents(collection, "ja")["103"].startswith("水星は太陽系で最も小さく")  # the first of the two
    assert collection.manifest["notes"] == [
        "de: 1 document with an id that was there, and the same text; the first was kept",
        "test1, de-en: left out 1 judgement of documents that are not there",
        "ja: 1 document with an id that was there, 1 of them with another text; the first was kept",
        "test1, ja: left out 1 query that nothing is judged for",
    ]
    assert collection.manifest["parallel"] is False and collection.manifest["articles"] is True
    assert collection.manifest["licence"] == "texts of Wikipedia, CC BY-SA 3.0"


def test_the_manifest_names_the_files_it_was_made_of(tmp_path: Path) -> None:
    import hashlib

    collection = converted(tmp_path, "clirmatrix", MULTI8, languages=("de", "en"), splits=("test1",))
    files = {entry["file"]: entry for entry in collection.manifest["source"]["files"]}
    assert set(files) == {"de.en.test1.jl.gz", "en.de.test1.jl.gz", "de.tsv.gz", "en.tsv.gz"}
    data = (MULTI8 / "de" / "de.en.test1.jl.gz").read_bytes()
    assert files["de.en.test1.jl.gz"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert files["de.en.test1.jl.gz"]["bytes"] == len(data)


def test_bi139(tmp_path: Path) -> None:
    collection = converted(tmp_path, "clirmatrix", BI139 / "base")  # DOCS lies two folders above
    assert collection.name == "clirmatrix-bi139"
    assert collection.pairs("test1") == collection.pairs("train") == [("de", "en")]
    assert collection.document_languages == ["en"]
    assert qrels(collection, "test1", "de", "en")[:2] == ["102 0 101 6", "102 0 102 4"]


def test_two_parts_of_clirmatrix_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"de queries for en documents again.*one at a time"):
        converted(tmp_path, "clirmatrix", FIXTURES / "clirmatrix")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": ("fr",)}, "no queries in or for fr"),
        ({"splits": ("test9",)}, "no split test9; it has test1, train"),
        ({"documents": FIXTURES / "titles"}, "no documents in de, en, ja; DOCS/LANG.tsv.gz"),
    ],
)
def test_what_clirmatrix_does_not_have(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        converted(tmp_path, "clirmatrix", MULTI8, **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"de\.en\.dev\.jl:2: broken JSON"),
        ('{"src_id": "1"}', r"de\.en\.dev\.jl:2: not a line of CLIRMatrix"),
        ('{"src_id": "1", "src_query": "x", "tgt_results": [["5"]]}', r"jl:2: \['5'\] is no \[document, grade\]"),
        ('{"src_id": "1 2", "src_query": "x", "tgt_results": []}', r'jl:2: "id" \'1 2\' contains white space'),
        ('{"src_id": "1", "src_query": "x", "tgt_results": [["5", 99999]]}', r"jl:2: relevance 99999 is above"),
    ],
)
def test_a_bad_line_is_named_before_documents_are_read(tmp_path: Path, line: str, message: str) -> None:
    source = tmp_path / "in"
    (source / "DOCS").mkdir(parents=True)
    (source / "DOCS" / "en.tsv").write_text("no tab, which would be the next error\n")
    good = '{"src_id": "9", "src_query": "y", "tgt_results": [["5", 6]]}'
    (source / "de.en.dev.jl").write_text(f"{good}\n{line}\n")
    with pytest.raises(InputError, match=message):
        convert(formats.read("clirmatrix", [str(source)], Options()), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bad_document_leaves_no_collection(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "DOCS").mkdir(parents=True)
    (source / "DOCS" / "en.tsv").write_text("5\tfine\nno tab\n")
    (source / "de.en.dev.jl").write_text('{"src_id": "9", "src_query": "y", "tgt_results": [["5", 6]]}\n')
    with pytest.raises(InputError, match=r"en\.tsv:2: no tab"):
        convert(formats.read("clirmatrix", [str(source)], Options()), tmp_path / "out")
    with pytest.raises(InputError, match="no such folder"):
        Collection(tmp_path / "out")


def test_a_converted_collection_is_indexed_searched_and_evaluated(tmp_path: Path, xqe: Run) -> None:
    out = tmp_path / "c"
    [made] = records(xqe("data", "convert", "clirmatrix", str(MULTI8), "--lang", "de,en", "--out", str(out)))
    assert made["documents"] == {"de": 8, "en": 8} and made["notes"] == 2
    index = xqe("index", str(tmp_path / "en"), "--lang", "en", "--input", str(out / "documents/en.jsonl.gz"))
    assert records(index)[0]["documents"] == 8
    # German titles do not find English texts; the English ones do, judged by what belongs to the German ids
    hits = xqe("search", str(tmp_path / "en"), "--input", str(out / "queries/test1/de.jsonl"))
    [found] = records(
        xqe("eval", "--qrels", str(out / "qrels/test1/de-en.qrels"), "--measure", "MRR", stdin=hits.stdout)
    )
    assert found["queries"] == 3
    ids = {"101": "102", "103": "104", "105": "106"}
    english = [json.loads(line) for line in (out / "queries/test1/en.jsonl").read_text().splitlines()]
    asked = "".join(json.dumps({**one, "id": ids[one["id"]]}) + "\n" for one in english)
    hits = xqe("search", str(tmp_path / "en"), stdin=asked)
    [best] = records(
        xqe("eval", "--qrels", str(out / "qrels/test1/de-en.qrels"), "--measure", "MRR", stdin=hits.stdout)
    )
    assert best["measures"]["MRR"] == 1.0 > found["measures"]["MRR"]


# ---------------------------------------------------------------- mMARCO, MS MARCO


def test_mmarco(tmp_path: Path) -> None:
    collection = converted(tmp_path, "mmarco", MMARCO)
    assert collection.document_languages == ["de", "en", "nl"]  # Dutch, which ir_datasets calls dt
    assert collection.splits == ["dev.small"]
    assert len(collection.pairs("dev.small")) == 9 and collection.manifest["parallel"] is True
    assert list(collection.manifest["qrels"]["dev.small"]) == ["all-de", "all-en", "all-nl"]
    judged = ["1048585 0 0 1", "1048592 0 1 1", "1048599 0 2 1", "1048585 0 1 1"]
    assert qrels(collection, "dev.small", "nl", "de") == judged
    assert list(collection.read_queries("dev.small", "de")) == ["1048585", "1048592", "1048599"]
    # English has its queries in the file of all dev queries only, of which one is not judged
    assert list(collection.read_queries("dev.small", "en")) == ["1048585", "1048592", "1048599"]
    assert collection.read_queries("dev.small", "nl")["1048592"].startswith("Waarom duurt een totale")
    assert collection.manifest["notes"] == ["dev.small, en: left out 1 query that nothing is judged for"]
    assert read_documents(collection, "de")["2"].startswith("Quecksilber ist das einzige Metall")


def test_mmarco_keeps_the_languages_that_are_asked_for(tmp_path: Path) -> None:
    collection = converted(tmp_path, "mmarco", MMARCO, languages=("nl", "de"))
    assert collection.document_languages == ["de", "nl"]
    assert collection.query_languages("dev.small") == ["de", "nl"]
    with pytest.raises(InputError, match="no documents in ja; it has de, en, nl"):
        formats.read("mmarco", [str(MMARCO)], Options(languages=("ja",)))


def test_msmarco(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    with gzip.open(source / "collection.tsv.gz", "wt") as file:
        file.write("0\tfirst\tand a tab\n1\t\n2\tthird\n")
    (source / "queries.dev.tsv").write_text("7\twhat is first\n8\t \n9\tunjudged\n7\tanother text\n")
    (source / "qrels.dev.tsv").write_text("7\t0\t0\t1\n8\t0\t2\t1\n7\t0\t0\t1\n5\t0\t1\t1\n")
    (source / "queries.eval.tsv").write_text("1\tno judgements are public\n")
    collection = converted(tmp_path, "msmarco", source, languages=("en",))
    assert read_documents(collection, "en") == {"0": "first\tand a tab", "1": "", "2": "third"}
    assert collection.read_queries("dev", "en") == {"7": "what is first"}
    assert qrels(collection, "dev", "en", "en") == ["7 0 0 1"]
    assert collection.manifest["notes"] == [
        "eval: queries without qrels",
        "en: 1 document without text",
        "dev, en-en: left out 2 judgements of queries that are not there",
        "dev, en-en: left out 1 judgement that were there already",
        "dev, en: left out 1 query that nothing is judged for",
        "dev, en: left out 1 query without text",
        "dev, en: left out 1 query of an id that was there with another text",
    ]


@pytest.mark.parametrize("languages", [None, ("en", "de")])
def test_a_layout_without_a_language_needs_one(tmp_path: Path, languages: tuple[str, ...] | None) -> None:
    with pytest.raises(XqeError, match="does not say its language; name that of the documents with --lang, one"):
        formats.read("msmarco", [str(tmp_path)], Options(languages=languages))


# ---------------------------------------------------------------- BEIR, MIRACL


def test_beir(tmp_path: Path) -> None:
    source = tmp_path / "scifact"
    (source / "qrels").mkdir(parents=True)
    (source / "corpus.jsonl").write_text('{"_id": "4983", "title": "A title", "text": "A text.", "metadata": {}}\n')
    (source / "queries.jsonl").write_text(
        '{"_id": "0", "text": "a claim", "metadata": {}}\n{"_id": "1", "text": "b"}\n'
    )
    (source / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n0\t4983\t1\n")
    (source / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n1\t4983\t2\n")
    collection = converted(tmp_path, "beir", source, languages=("en",), query_language="de")
    assert collection.name == "scifact" and collection.splits == ["test", "train"]
    assert collection.read_queries("test", "de") == {"0": "a claim"}
    assert collection.read_queries("train", "de") == {"1": "b"}
    assert qrels(collection, "train", "de", "en") == ["1 0 4983 2"]
    with gzip.open(collection.documents("en"), "rt") as file:
        assert json.loads(file.read()) == {"id": "4983", "title": "A title", "text": "A text."}


def test_beir_without_judgements(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d1", "title": "", "text": "zinc"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "Zink"}\n')
    collection = converted(tmp_path, "beir", tmp_path, languages=("en",), query_language="de")
    assert (collection.splits, collection.read_queries("test", "de")) == (["test"], {"q1": "Zink"})
    assert not (tmp_path / "out" / "qrels").exists()


def test_fields_of_documents_and_queries_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text('{"meta": {"nr": 7}, "head": "Zinc", "body": "a metal"}\n')
    (tmp_path / "asked.jsonl").write_text('{"no": "a", "frage": "Was ist Zink?", "query": "x"}\n')
    given = ["--id-field", "meta.nr", "--text-field", "body", "--title-field", "head", "--lang", "en"]
    asked = ["--queries", str(tmp_path / "asked.jsonl"), "--query-lang", "de"]
    called = ["--query-id-field", "no", "--query-text-field", "frage"]
    path, out = str(tmp_path / "docs.jsonl"), str(tmp_path / "out")
    assert run(["data", "convert", "trec", path, *given, *asked, *called, "--out", out]) == 0
    collection = Collection(Path(out))
    assert collection.read_queries("test", "de") == {"a": "Was ist Zink?"}
    assert read_documents(collection, "en") == {"7": "a metal"}


@pytest.mark.parametrize(
    ("document", "query", "said"),
    [
        ('{"nr": 7, "text": "zinc"}', '{"query": "Zink"}', 'docs.jsonl:1: missing "id"; it has nr, text; --id-field, '),
        ('{"id": 7, "text": "zinc"}', '{"frage": "Zink"}', "it has id, frage; --query-id-field and --query-text-field"),
    ],
)
def test_a_field_that_is_called_otherwise_names_the_option(
    document: str, query: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs.jsonl").write_text(document)
    (tmp_path / "asked.jsonl").write_text(query)
    options = ["--queries", str(tmp_path / "asked.jsonl"), "--lang", "en", "--out", str(tmp_path / "out")]
    assert run(["data", "convert", "trec", str(tmp_path / "docs.jsonl"), *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "queries", "is_own"),
    [
        ("arg", {"a1": "Zinc prices\nrise", "a2": "of copper"}, True),  # with and without the title; half of them
        ("arg", {"a1": "Zinc prices rise", "b": "x", "c": "y"}, False),
        ("arg", {"a1": "another text"}, False),  # ids that met by chance
        ("arguana", {"b": "x"}, True),
    ],
)
def test_queries_of_beir_that_are_documents_are_noted(
    tmp_path: Path, folder: str, queries: dict[str, str], is_own: bool
) -> None:
    source = tmp_path / folder
    (source / "qrels").mkdir(parents=True)
    documents = [("a1", "", "Zinc prices rise"), ("a2", "Mines", "of copper"), ("a3", "", "tin")]
    lines = [json.dumps({"_id": name, "title": title, "text": text}) for name, title, text in documents]
    (source / "corpus.jsonl").write_text("\n".join(lines))
    (source / "queries.jsonl").write_text(
        "\n".join(json.dumps({"_id": name, "text": text}) for name, text in queries.items())
    )
    (source / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{next(iter(queries))}\ta3\t1\n")
    manifest = converted(tmp_path, "beir", source, languages=("en",)).manifest
    assert manifest.get("drop_self", False) is is_own
    assert [note for note in manifest["notes"] if note.startswith("queries are documents")] == is_own * [
        "queries are documents: xqe grid leaves each out of its own hits, search and eval with --drop-self"
    ]


def test_miracl(tmp_path: Path) -> None:
    source = tmp_path / "in"
    corpus = source / "miracl-corpus-v1.0-de"
    corpus.mkdir(parents=True)
    for number in (0, 2, 10):  # in the order of the numbers, not of the names
        with gzip.open(corpus / f"docs-{number}.jsonl.gz", "wt") as file:
            file.write(json.dumps({"docid": f"{number}#0", "title": "T", "text": f"Text {number}"}) + "\n")
    for kind, split, text in (
        ("topics", "dev", "16#q\tWas ist das?\n"),
        ("qrels", "dev", "16#q Q0 10#0 1\n16#q\tQ0\t2#0\t0\n"),
        ("topics", "test-b", "17\tWer?\n"),
    ):
        folder = source / "miracl-v1.0-de" / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{kind}.miracl-v1.0-de-{split}.tsv").write_text(text)
    collection = converted(tmp_path, "miracl", source)
    assert list(read_documents(collection, "de")) == ["0#0", "2#0", "10#0"]
    assert qrels(collection, "dev", "de", "de") == ["16#q 0 10#0 1", "16#q 0 2#0 0"]
    assert collection.manifest["parallel"] is False  # each language has questions of its own
    assert collection.manifest["notes"] == ["test-b, de: queries without qrels were left out"]


# ---------------------------------------------------------------- TREC, Pyserini

TOPICS = """<top>

<num> Number: 301
<title> International   Organized Crime

<desc> Description:
Identify organizations that participate in
international criminal activity.

<narr> Narrative:
A relevant document must name one.

</top>
<top>
<num>Number: 302</num>
<title>Poliomyelitis &amp; Post-Polio</title>
<desc>Is it under control?</desc>
</top>
"""
SGML = """<DOC>
<DOCNO> FT911-3 </DOCNO>
<PROFILE>_AN-BEOA7AAIFT</PROFILE>
<HEADLINE>
FT  14 MAY 91 / A headline
</HEADLINE>
<TEXT>
First line,
and <F P=105>second</F> line &amp; more.
</TEXT>
<TEXT>A second text.</TEXT>
</DOC>
<DOC><DOCNO>FT911-4</DOCNO> No text element. </DOC>
"""


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (None, {"301": "International Organized Crime", "302": "Poliomyelitis & Post-Polio"}),
        (
            "title+desc",
            {
                "301": "International Organized Crime Identify organizations that participate in international "
                "criminal activity.",
                "302": "Poliomyelitis & Post-Polio Is it under control?",
            },
        ),
    ],
)
def test_trec(tmp_path: Path, topic: str | None, expected: dict[str, str]) -> None:
    (tmp_path / "docs").mkdir()
    with gzip.open(tmp_path / "docs" / "ft911.gz", "wt") as file:
        file.write(SGML)
    (tmp_path / "topics.txt").write_text(TOPICS)
    (tmp_path / "qrels.txt").write_text("301 0 FT911-3 1\n302 0 FT911-4 0\n302 0 FT911-3 -1\n")
    collection = converted(
        tmp_path,
        "trec",
        tmp_path / "docs",
        languages=("en",),
        query_language="de",
        queries=tmp_path / "topics.txt",
        qrels=tmp_path / "qrels.txt",
        topic=topic,
    )
    assert collection.read_queries("test", "de") == expected
    assert qrels(collection, "test", "de", "en") == ["301 0 FT911-3 1", "302 0 FT911-4 0", "302 0 FT911-3 -1"]
    with gzip.open(collection.documents("en"), "rt") as file:
        assert [json.loads(line) for line in file] == [
            {
                "id": "FT911-3",
                "title": "FT 14 MAY 91 / A headline",
                "text": "First line,\nand second line & more.\n\nA second text.",
            },
            {"id": "FT911-4", "text": "No text element."},
        ]


def test_pyserini(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text('{"id": "doc1", "contents": "Title\\nBody"}\n')
    (tmp_path / "topics.tsv").write_text("1\tone\n")
    (tmp_path / "qrels.txt").write_text("1 0 doc1 1\n")
    paths = {"queries": tmp_path / "topics.tsv", "qrels": tmp_path / "qrels.txt"}
    collection = converted(tmp_path, "pyserini", tmp_path / "docs.jsonl", languages=("en",), splits=("dev",), **paths)
    assert collection.splits == ["dev"] and read_documents(collection, "en") == {"doc1": "Title\nBody"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<DOC>\n<TEXT>x</TEXT>\n</DOC>\n", "docs:1: <DOC> without <DOCNO>"),
        ("<DOC>\n<DOCNO>1</DOCNO>\n", "docs:1: <DOC> without </DOC>"),
        ("<DOC>\n<DOCNO>1</DOCNO>\n<DOC>\n", "docs:1: <DOC> without </DOC>; the next one begins at .*:3"),
    ],
)
def test_damaged_sgml(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "docs").write_text(content)
    (tmp_path / "topics.tsv").write_text("1\tone\n")
    (tmp_path / "qrels.txt").write_text("1 0 doc1 1\n")
    paths = {"queries": tmp_path / "topics.tsv", "qrels": tmp_path / "qrels.txt"}
    with pytest.raises(InputError, match=message):
        converted(tmp_path, "trec", tmp_path / "docs", languages=("en",), **paths)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TOPICS.replace("</top>\n", "", 1), "topics:1: <top> without </top>"),
        (TOPICS.removesuffix("</top>\n"), "topics:14: <top> without </top>"),
        (TOPICS.replace("<title>Polio", "<desc>Polio"), "topics:14: a topic without <title>"),
    ],
)
def test_damaged_topics(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "docs.tsv").write_text("d\tx\n")
    (tmp_path / "topics").write_text(content)
    (tmp_path / "qrels").write_text("301 0 d 1\n302 0 d 1\n")
    paths = {"queries": tmp_path / "topics", "qrels": tmp_path / "qrels"}
    with pytest.raises(InputError, match=message):
        converted(tmp_path, "trec", tmp_path / "docs.tsv", languages=("en",), **paths)


def test_topics_with_attributes_do_not_lend_each_other_fields(tmp_path: Path) -> None:
    (tmp_path / "docs.tsv").write_text("d\tx\n")
    (tmp_path / "topics").write_text(TOPICS.replace("<top>", '<top lang="en">').replace("<title>Polio", "<desc>Polio"))
    (tmp_path / "qrels").write_text("301 0 d 1\n302 0 d 1\n")
    paths = {"queries": tmp_path / "topics", "qrels": tmp_path / "qrels"}
    with pytest.raises(InputError, match="a topic without <title>"):
        converted(tmp_path, "trec", tmp_path / "docs.tsv", languages=("en",), **paths)


# ---------------------------------------------------------------- ir_datasets


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The id of a small collection that ir_datasets knows: the miniature of mMARCO."""
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    ir_datasets = pytest.importorskip("ir_datasets", reason="of the extra ir-datasets")
    data = MMARCO / "data"
    made = ir_datasets.create_dataset(
        docs_tsv=str(data / "google/collections/german_collection.tsv"),
        queries_tsv=str(data / "google/queries/dev/dutch_queries.dev.small.tsv"),
        qrels_trec=str(data / "qrels.dev.small.tsv"),
    )
    name = f"mini/{tmp_path.name}/dev/small"
    ir_datasets.registry.register(name, made)
    return name


def test_ir_datasets(tmp_path: Path, registered: str) -> None:
    options = Options(languages=("de",), query_language="nl")
    collection = convert(formats.read("ir_datasets", [registered], options), tmp_path / "out")
    direct = convert(formats.read("mmarco", [str(MMARCO)], Options()), tmp_path / "direct")
    assert collection.splits == ["dev.small"]
    assert read_documents(collection, "de") == read_documents(direct, "de")
    assert collection.read_queries("dev.small", "nl") == direct.read_queries("dev.small", "nl")
    assert qrels(collection, "dev.small", "nl", "de") == qrels(direct, "dev.small", "nl", "de")


def test_dutch_of_ir_datasets(tmp_path: Path, registered: str) -> None:
    import ir_datasets

    inside = ir_datasets.load(registered)
    for handler, names in ((inside.docs_handler(), "docs_lang"), (inside.queries_handler(), "queries_lang")):
        setattr(handler, names, lambda: "dt")  # as mMARCO's say
    collection = convert(formats.read("ir_datasets", [registered], Options()), tmp_path / "out")
    assert collection.pairs("dev.small") == [("nl", "nl")]


def test_ids_of_ir_datasets_stand_for_files(registered: str) -> None:
    path = f"{irdatasets.PREFIX}{registered}"
    data = MMARCO / "data"
    bare = Form.TSV, ID_AND_REST
    for kind, file in (
        (DOCUMENTS, "google/collections/german_collection.tsv"),
        (QUERIES, "google/queries/dev/dutch_queries.dev.small.tsv"),
    ):
        there = [check(kind, raw) for _, raw in Rows(kind).read([path])]
        assert there and there == [check(kind, raw) for _, raw in Rows(kind, *bare).read([str(data / file)])]
    assert read_qrels(path) == read_qrels(str(data / "qrels.dev.small.tsv"))
    with pytest.raises(InputError, match="nope: ir_datasets does not know it"):
        read_qrels(f"{irdatasets.PREFIX}nope")


def check(kind: Kind, raw: Any) -> Any:
    return check_query(raw, "") if kind is QUERIES else check_document(raw, "")


def test_what_nothing_is_judged_of_is_kept_where_nothing_is_judged(tmp_path: Path) -> None:
    (tmp_path / "docs.csv").write_text("docno,body\nd1,zinc\n")
    (tmp_path / "queries.txt").write_text("prix du zinc\nprix du fer\n")
    options = Options(languages=("en",), query_language="fr", queries=tmp_path / "queries.txt")
    collection = convert(formats.read("trec", [str(tmp_path / "docs.csv")], options), tmp_path / "out")
    assert read_documents(collection, "en") == {"d1": "zinc"}
    assert collection.read_queries("test", "fr") == {"q1": "prix du zinc", "q2": "prix du fer"}
    assert (collection.pairs("test"), collection.manifest["qrels"]) == ([], {})


def test_ir_datasets_says_what_it_lacks(registered: str) -> None:
    with pytest.raises(XqeError, match="its documents do not say their language; name it with --lang"):
        formats.read("ir_datasets", [registered], Options())
    with pytest.raises(InputError, match="no/such/thing: ir_datasets does not know it"):
        formats.read("ir_datasets", ["no/such/thing"], Options())


def test_ir_datasets_is_an_extra(xqe_alone: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ir_datasets.py").write_text("raise ModuleNotFoundError(name='ir_datasets')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT / 'src'}")
    done = xqe_alone("data", "convert", "ir_datasets", "mmarco/v2/de/dev/small", "--out", str(tmp_path / "c"))
    assert done.returncode == 2
    assert done.stderr == (
        'xqe: reading a collection of ir_datasets needs ir_datasets; install it with: pip install "xqe[ir-datasets]"\n'
    )


# ---------------------------------------------------------------- the common part


def material(documents: list[Document], judged: list[tuple[str, str, int]]) -> Material:
    queries = [("here", (name, f"query {name}")) for name in dict.fromkeys(query for query, _, _ in judged)]
    return Material(
        "m",
        "",
        "",
        {},
        documents={"en": lambda: iter([("here", one) for one in documents])},
        queries={"test": {"en": [lambda: iter(queries)]}},
        qrels={"test": {("en", "en"): lambda: iter([("here", one) for one in judged])}},
    )


_ID = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=3)


@given(
    st.lists(st.tuples(_ID, st.text(st.characters(exclude_categories=["Cs"]), max_size=30)), min_size=1, max_size=12),
    st.lists(st.tuples(_ID, _ID, st.integers(0, 6)), max_size=12),
)
def test_conversion_keeps_what_can_be_used(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    judged: list[tuple[str, str, int]],
) -> None:
    judged = [("q", rows[0][0], 1), *judged]  # one that can be used, since a collection without any is refused
    documents = [Document(name, text) for name, text in rows]
    collection = convert(material(documents, judged), tmp_path_factory.mktemp("c") / "out")
    first: dict[str, str] = {}
    for name, text in rows:
        first.setdefault(name, text)
    assert read_documents(collection, "en") == first
    wanted: dict[tuple[str, str], int] = {}
    for query, document, grade in judged:
        if document in first:
            wanted.setdefault((query, document), grade)
    assert qrels(collection, "test", "en", "en") == [f"{q} 0 {d} {grade}" for (q, d), grade in wanted.items()]
    assert set(collection.read_queries("test", "en")) == {query for query, _ in wanted}


@given(st.lists(st.lists(st.integers(0, 20), max_size=10), max_size=6))
def test_seen(batches: list[list[int]]) -> None:
    seen, known = Seen(), []
    for batch in batches:
        expected = []
        for value in batch:
            expected.append(value not in known)
            if value not in known:
                known.append(value)
        assert seen.firsts(fingerprints(map(str, batch))).tolist() == expected
    assert len(seen) == len(known)
    numbers = seen.numbers(fingerprints(map(str, range(21))))
    assert numbers.dtype == numpy.int64
    assert {int(number) for number in numbers if number >= 0} == set(range(len(known)))


def test_judgements_of_other_queries_are_refused_before_documents_are_read(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "collection.tsv").write_text("broken\n")
    (source / "queries.dev.tsv").write_text("1\tone\n")
    (source / "qrels.dev.tsv").write_text("2 0 0 1\n")
    with pytest.raises(InputError, match=r"qrels\.dev\.tsv: judges none of the queries of dev"):
        converted(tmp_path, "msmarco", source, languages=("en",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch", "x"], 'unknown format "nosuch"; xqe reads clirmatrix, mmarco'),
        (["mmarco", "x", "y"], "mmarco: 2 paths; give one: the folder with collections"),
        (["mmarco", "/nosuch"], "/nosuch: no such folder"),
        (["mmarco", str(MULTI8)], "no file like german_collection.tsv"),
        (["clirmatrix", str(MMARCO)], "no file like MULTI-8/de/de.en.test1.jl.gz"),
        (["miracl", str(MMARCO)], "no folder like miracl-corpus-v1.0-de"),
        (["beir", str(MMARCO), "--lang", "en"], "corpus.jsonl: no such file"),
        (["trec", str(MMARCO), "--lang", "en"], "missing option --queries"),
        (
            ["mmarco", str(MMARCO), "--queries", "x"],
            "--queries: means nothing to mmarco; besides --lang it takes --split",
        ),
        (["ir_datasets", "vaswani", "--lang", "en,de"], "--lang en,de: several"),
        (["mmarco", str(MMARCO), "--lang", "xx"], '--lang: unknown language "xx"'),
        (["mmarco", str(MMARCO), "--name", "a/b"], "--name: 'a/b' cannot be part of a path"),
        (["mmarco", str(MMARCO), "--name", ".."], "--name: '..' cannot be part of a path"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["data", "convert", *arguments, "--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """The status, the records and the messages of a command that is run in this process."""
    status = run(list(arguments))
    out, err = capsys.readouterr()
    return status, [json.loads(line) for line in out.splitlines()], err


def test_help_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "convert", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"{', '.join(list(formats.FORMATS)[:-1])} or {list(formats.FORMATS)[-1]}." in said


def test_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "c")
    convert_again = ("data", "convert", "mmarco", str(MMARCO), "--out", out, "--name", "mini")
    answer(capsys, *convert_again)
    _, [row], _ = answer(capsys, "data", "info", out, "--verify")
    assert row["name"] == "mini" and row["documents"] == {"de": 8, "en": 8, "nl": 8}
    assert row["judgements"] == {"dev.small": {"all-de": 4, "all-en": 4, "all-nl": 4}}
    assert row["judged"]["dev.small"]["all-de"] == 3 and row["verified"] == 9
    (tmp_path / "c/queries/dev.small/de.jsonl").write_text("{}\n")
    assert answer(capsys, "data", "info", out)[0] == 0
    status, _, said = answer(capsys, "data", "info", out, "--verify")
    assert status == 2 and "de.jsonl: not the file that collection.json names" in said
    status, _, said = answer(capsys, *convert_again)
    assert status == 2 and "holds a collection already; give --force" in said
    assert answer(capsys, *convert_again, "--force")[0] == 0
    assert answer(capsys, "data", "info", out, "--verify")[0] == 0


def test_list_and_info_of_sources(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["name"]: row for row in answer(capsys, "data", "list")[1]}
    built = {"debian", "debian-graded", "manpages", "gnome-help", "iso-codes"}
    assert set(rows) == built | {"mmarco", "clirmatrix-multi8", "clirmatrix-bi139", "miracl"}
    assert {name for name, row in rows.items() if row["how"] == "build"} == built
    assert rows["clirmatrix-multi8"]["languages"] == ["ar", "de", "en", "es", "fr", "ja", "ru", "zh"]
    assert len(rows["mmarco"]["languages"]) == 14 and rows["mmarco"]["size"] > 50e9
    assert answer(capsys, "data", "info", "mmarco")[1] == [rows["mmarco"]]
    status, _, said = answer(capsys, "data", "info", "nosuch")
    assert status == 2 and "nosuch: no such folder" in said
