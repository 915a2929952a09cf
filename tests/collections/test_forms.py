"""Documents and topics in the forms that the field's collections have, and folders with more in them than a collection.

What is right was stated beforehand; the elements of TREC's disks are those that Anserini's TrecCollection takes.
"""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from xqe.collections import formats
from xqe.collections.conversion import convert
from xqe.collections.layout import Collection
from xqe.collections.options import Options
from xqe.collections.topics import topics
from xqe.errors import InputError, XqeError
from xqe.files.documents import documents
from xqe.files.records import Document


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def converted(tmp_path: Path, form: str, path: Path, **options: Any) -> Collection:
    return convert(formats.read(form, [str(path)], Options(**options)), tmp_path / "out")


def qrels(collection: Collection, split: str = "test", lang: str = "en") -> list[str]:
    return collection.qrels(split, lang, lang).read_text().splitlines()


# ---------------------------------------------------------------- SGML

ONE, TWO = "<DOCNO>A1</DOCNO>\n<TEXT>\nmercury one\n</TEXT>\n", "<DOCNO> A2 </DOCNO>\n<TEXT>\nvenus two\n</TEXT>\n"


@pytest.mark.parametrize(
    "text",
    [
        f"<DOC>\n{ONE}</DOC>\n<DOC>\n{TWO}</DOC>\n",
        f"<DOC>\n{ONE}</DOC><DOC>\n{TWO}</DOC>",
        f"<DOC>\n{ONE}</DOC><DOC>\n{TWO}</DOC>\n".replace("\n", " "),
        f"<DOC>\n{ONE}</DOC> <!-- x -->\n<DOC>\n{TWO}</DOC> <!-- y -->\n",
        f'<?xml version="1.0"?>\n<ROOT><DOC>\n{ONE}</DOC>\n<!-- z --><DOC>{TWO}</DOC></ROOT>\n',
        f"<DOC >\r\n{ONE}</DOC >\r\n<doc>\r\n{TWO.lower().replace('a2', 'A2')}</doc>\r\n",
        f"<DOC>\n{ONE}</DOC>\n<DOC>\n{TWO}</DOC>\n".replace("\n", "\r"),
        '<DOC id="A1" type="x">\n<TEXT>mercury one</TEXT></DOC>\n<DOC id=A2><TEXT><P>\nvenus two\n</P>\n</TEXT></DOC>',
        "<DOC><DOCID>A1</DOCID><TEXT>mercury one</TEXT></DOC><DOC><DOCNO>A2</DOCNO><DOCID>X</DOCID>venus two</DOC>",
        "<DOC><DOCNO>A1</DOCNO>mercury <!-- PJG\nSTAG 4700 -->one</DOC><DOC><DOCNO>A2</DOCNO><TEXT>venus two</DOC>",
    ],
)
def test_sgml_in_any_lines(tmp_path: Path, text: str) -> None:
    found = [one for _, one in documents([str(written(tmp_path / "d.sgml", text))])]
    assert found == [Document("A1", "mercury one"), Document("A2", "venus two")]


@pytest.mark.parametrize(
    ("inside", "title", "text"),
    [
        # FBIS, WSJ, Der Spiegel, SJMN, the Federal Register, AP, SDA, NRC Handelsblad
        ("<H3> <TI> Minister on zinc </TI></H3>\n<TEXT>\nrest\n</TEXT>", "Minister on zinc", "rest"),
        ("<HL> Zinc </HL><LP> cobalt first </LP><TEXT> rest </TEXT>", "Zinc", "cobalt first\nrest"),
        ("<TITLE> Zink </TITLE>\n<LEAD> Kobalt </LEAD>\n<TEXT> Rest </TEXT>", "Zink", "Kobalt\nRest"),
        ("<LEADPARA>lead</LEADPARA><SECTION>S</SECTION><HEADLINE>H</HEADLINE><TEXT>rest</TEXT>", "H", "lead\nrest"),
        ("<TEXT>a&blank;b 5&hyph;6 &amp; &sect;</TEXT>", "", "a b 5-6 & §"),
        (
            "<HEAD>Zinc &amp; Tin</HEAD><HEAD>More</HEAD><DATELINE>X</DATELINE><TEXT>rest</TEXT>",
            "Zinc & Tin More",
            "rest",
        ),
        ("<TI>Zink</TI><LD>Kobalt</LD><TX>Rest</TX><KW>no</KW>", "Zink", "Kobalt\nRest"),
        ("<BODY><TI><P>Zink</P></TI><LE><P>lead</P></LE><TE>rest</TE></BODY>", "", "Zink lead rest"),
        # what Anserini takes besides
        ("<TTL>t</TTL><DD> 7 May </DD><DATE>910514</DATE><TEXT>rest</TEXT>", "t", "7 May\n910514\nrest"),
        # no tags
        ("<TEXT>if x <5 and y> 3, or x <y and z> 3</TEXT>", "", "if x <5 and y> 3, or x <y and z> 3"),
        ('<TEXT><F P=105>a</F> <FIG ID="F-1"> b <td nowrap>c<br/><img src=\'x\' alt="y z"></TEXT>', "", "a b c"),
        # pages of the web
        (
            (
                "<DOCHDR>\nhttp://x 200\n</DOCHDR>\n<html><head><title>Zinc</title><script>a<b</script>\n</head>"
                "<body class='c'>rest<style>p {}</style></body></html>"
            ),
            "Zinc",
            "rest",
        ),
        # nothing but elements that are not known
        ("<ABSTRACT-DE>Zink</ABSTRACT-DE> <TITLE>T</TITLE>", "", "Zink T"),
    ],
)
def test_what_is_text_of_a_document(tmp_path: Path, inside: str, title: str, text: str) -> None:
    path = written(tmp_path / "d", f"<DOC>\n<DOCNO>A</DOCNO>\n{inside}\n</DOC>\n")
    [(where, found)] = documents([str(path)])
    assert where == f"{path}:1" and (found.title, found.text) == (title, text)


# ---------------------------------------------------------------- topics

CLEF = """<topics>
<topic lang="de">
<identifier>10.2452/401-AH</identifier>
<title>Inflation des Euro</title>
<description>Finde Dokumente über &quot;Preise&quot;.</description>
</topic>
<topic lang="en"><identifier>10.2452/401-AH</identifier><title>Euro Inflation</title></topic>
</topics>
"""
TREC1 = """<top>
<head> Tipster Topic Description
<num> Number:  051
<dom> Domain: International Economics
<title> Topic:  Airbus Subsidies

<desc> Description:
Document mentions government assistance
to Airbus.

<smry> Summary:
no
<narr> Narrative:
A relevant document cites it.
<con> Concept(s):
1. Airbus
<fac> Factor(s):
<nat> Nationality: U.S.
</fac>
<def> Definition(s):
</top>
"""


@pytest.mark.parametrize(
    ("text", "fields", "lang", "expected"),
    [
        ("<top><num>1</num><title>zinc</title></top>", None, "en", {"1": "zinc"}),
        ("<top><num>1<title>zinc<desc>prices</top><top><num>2<title>tin</top>", None, "en", {"1": "zinc", "2": "tin"}),
        ("<TOP>\n<NUM>1</NUM>\n<TITLE>zinc</TITLE>\n</TOP>\n", None, "en", {"1": "zinc"}),
        (TREC1, None, "en", {"051": "Airbus Subsidies"}),
        (
            TREC1,
            "title+desc+narr",
            "en",
            {
                "051": "Airbus Subsidies Document mentions government assistance to Airbus. "
                "A relevant document cites it."
            },
        ),
        (
            (
                '<?xml version="1.0"?>\n<topics task="x">\n  <topic number="1">\n    <query>coronavirus</query>\n'
                "    <question>what is\n it</question>\n  </topic>\n</topics>"
            ),
            "title+desc",
            "en",
            {"1": "coronavirus what is it"},
        ),
        (
            (
                '<webtrack2012><topic number="151" type="faceted"><query>403b</query><description>What is a 403b?'
                '</description><subtopic number="1" type="inf">plan</subtopic></topic></webtrack2012>'
            ),
            None,
            "en",
            {"151": "403b"},
        ),
        (
            '<topics><topic number="7">\nA man of 40 &amp; a cough.\n</topic></topics>',
            None,
            "en",
            {"7": "A man of 40 & a cough."},
        ),
        (CLEF, None, "de", {"10.2452/401-AH": "Inflation des Euro"}),
        (CLEF, "desc", "de", {"10.2452/401-AH": 'Finde Dokumente über "Preise".'}),
        (CLEF, None, "en", {"10.2452/401-AH": "Euro Inflation"}),
        (
            "<top>\n<num> C041 </num>\n<DE-title> Pestizide </DE-title>\n<DE-desc> Berichte. </DE-desc>\n</top>\n",
            "title+desc",
            "de",
            {"C041": "Pestizide Berichte."},
        ),
        (
            "<top><num>C041</num><DE-title>Babykost</DE-title><EN-title>Baby Food</EN-title></top>",
            None,
            "en",
            {"C041": "Baby Food"},
        ),
        ("<top lang='hi'>\n<num>26</num>\n<title>चुनाव</title>\n</top>", None, "hi", {"26": "चुनाव"}),
        (
            "<parameters>\n<query>\n<number>701</number>\n<text>oil history</text>\n</query>\n</parameters>",
            None,
            "en",
            {"701": "oil history"},
        ),
        ("<top><num>1</num><title>x <5 and <b>y</b></title></top>", None, "en", {"1": "x <5 and y"}),
        ("<top>\n<num>1\n<title>a <i>b</i> c\n</top>", None, "en", {"1": "a b c"}),
        (
            '<topics><!-- <topic number="1">no</topic>\n--><topic number="2"><title><![CDATA[a & b]]></title></topic>',
            None,
            "en",
            {"2": "a & b"},
        ),
        ("\ufeff1\tzinc\r\n\ufeff2\ttin", None, "en", {"1": "zinc", "2": "tin"}),
        ("query_id\tquery\n1\tzinc\n", None, "en", {"1": "zinc"}),
        ('{"qid": 1, "query": "zinc", "docid": "7"}\n', None, "en", {"1": "zinc"}),
    ],
)
def test_topics(tmp_path: Path, text: str, fields: str | None, lang: str, expected: dict[str, str]) -> None:
    assert dict(query for _, query in topics(written(tmp_path / "t", text), fields, lang)()) == expected


HC4 = {
    "topic_id": "1",
    "languages_with_qrels": ["rus"],
    "topics": [
        {"lang": "rus", "source": "google translation", "topic_title": "Потоп", "topic_description": "-"},
        {"lang": "rus", "source": "human translation", "topic_title": "Наводнение", "topic_description": "Статьи"},
        {"lang": "eng", "source": "original", "topic_title": "Flooding", "topic_description": "Articles\n on it"},
    ],
}


@pytest.mark.parametrize(
    ("fields", "lang", "expected"),
    [(None, "en", "Flooding"), ("title+desc", "en", "Flooding Articles on it"), (None, "ru", "Наводнение")],
)
def test_topics_of_hc4(tmp_path: Path, fields: str | None, lang: str, expected: str) -> None:
    path = written(tmp_path / "t.jsonl", json.dumps(HC4) + "\n")
    assert [query for _, query in topics(path, fields, lang)()] == [("1", expected)]
    with pytest.raises(InputError, match=r"t\.jsonl:1: a topic in rus, eng, and not in zh; see --query-lang"):
        list(topics(path, None, "zh")())
    with pytest.raises(InputError, match=r"t\.jsonl:1: a topic without topic_narrative; see --topic"):
        list(topics(path, "narr", "en")())


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        ("<x>\n</x>\n", None, "t: no topic was read; xqe reads <top>, <topic number="),
        (CLEF, "narr", "t:7: a topic without <narr>; it has num, title; see --topic"),
        (CLEF.replace('"en"', '"fr"'), None, "t: topics in de, fr, and not in en; see --query-lang"),
        ("<top><num>1</num><SV-title>zink</SV-title></top>", None, "t: topics in sv, and not in en; see --query-lang"),
        (
            '<topic number="1"><disease>x</disease></topic>',
            None,
            "t:1: a topic without <title>; it has num; see --topic",
        ),
        ("<top>\n<title>zinc</title>\n</top>", None, "t:1: a topic without <num>; it has title"),
        ("<top>\n<num>1 2</num>\n<title>a\n<top>\n</top>", None, "t:1: <top> without </top>"),
        ("<top>\n<num>1</num>\n<title>a\n", None, "t:1: <top> without </top>"),
        ("", None, "t: no queries; is it the file that was meant?"),
        ("1\ta\n", "desc", "has no fields"),
        ("1\ta\n", "x", "not fields of a topic"),
        ("[{}]", None, 't:1: missing "query"'),
    ],
)
def test_what_is_no_topic(tmp_path: Path, text: str, fields: str | None, message: str) -> None:
    with pytest.raises(XqeError) as caught:
        list(topics(written(tmp_path / "t", text), fields, "en")())
    assert message in str(caught.value)


def test_documents_and_topics_of_trec(tmp_path: Path) -> None:
    """A disk with more than documents on it, and topics in XML; the passages of MS MARCO v2."""
    for name, text in (
        ("d/0readme", "of this disk\n"),
        ("d/a.sgml", f"<DOC>\n{ONE}</DOC><DOC>\n{TWO}</DOC>\n"),
        ("d/a.sgml~", "<DOC>\n<DOCNO>A1</DOCNO>old</DOC>\n"),
        ("d/._a.sgml", "<DOC>\n<DOCNO>A3</DOCNO>no</DOC>\n"),
        ("d/.git/b.sgml", "<DOC>\n<DOCNO>A4</DOCNO>no</DOC>\n"),
        ("d/dtd", "<!ELEMENT DOC - - (DOCNO)>\n"),
    ):
        written(tmp_path / name, text)
    given = {
        "queries": written(tmp_path / "t", '<topics><topic number="1"><query>mercury</query></topic></topics>'),
        "qrels": written(tmp_path / "q", "1 0 A1 1\n"),
    }
    collection = converted(tmp_path, "trec", tmp_path / "d", languages=("en",), **given)
    assert collection.document_count("en") == 2 and collection.read_queries("test", "en") == {"1": "mercury"}
    assert collection.manifest["notes"] == []


def test_passages_of_msmarco_v2(tmp_path: Path) -> None:
    rows = [("00_0", "zinc prices rise", "00_0"), ("00_172", "cobalt mining", "00_0"), ("00_587", "tin cans", "00_9")]
    lines = [
        json.dumps({"pid": f"msmarco_passage_{pid}", "passage": text, "docid": f"msmarco_doc_{docid}"})
        for pid, text, docid in rows
    ]
    path = written(tmp_path / "v2.jsonl", "\n".join(lines))
    given = {
        "queries": written(tmp_path / "t.tsv", "1\tcobalt mining\n2\ttin cans\n"),
        "qrels": written(tmp_path / "q", "1 0 msmarco_passage_00_172 1\n2 0 msmarco_passage_00_587 1\n"),
    }
    collection = converted(tmp_path, "pyserini", path, languages=("en",), **given)
    assert collection.document_count("en") == 3 and len(collection.read_queries("test", "en")) == 2
    assert collection.manifest["notes"] == []


@pytest.mark.parametrize(
    ("topic", "judged", "message"),
    [
        ("<x>", "1 0 d 1\n", "t: no topic was read"),
        ("1\t \n", "1 0 d 1\n", "d: no query of test has a text"),
        ("T1\tzinc\n", "1 0 d 1\n", 'q: judges none of the queries of test, which has "T1" and not "1"'),
        ("1\tzinc\n", "1 0 e 1\n", "d: none of the judged documents is there"),
        ("1\tzinc\n", "", "q: no judgements"),
    ],
)
def test_the_file_that_is_to_blame(tmp_path: Path, topic: str, judged: str, message: str) -> None:
    given = {"queries": written(tmp_path / "t", topic), "qrels": written(tmp_path / "q", judged)}
    path = written(tmp_path / "d.tsv", "d\tzinc\n")
    with pytest.raises(InputError) as caught:
        converted(tmp_path, "trec", path, languages=("en",), **given)
    assert message in str(caught.value)
    assert not (tmp_path / "out" / "collection.json").exists()


# ---------------------------------------------------------------- what lies beside a collection


def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "arg"
    written(folder / "corpus.jsonl", '{"_id":"a1","text":"x"}\n{"_id":"a2","text":"y"}\n{"_id":"a3","text":"z"}\n')
    written(folder / "queries.jsonl", '{"_id":"a1","text":"x"}\n')
    written(folder / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore\na1\ta2\t1\n")
    return folder


STALE = "query-id\tcorpus-id\tscore\na1\ta3\t1\n"


@pytest.mark.parametrize(
    "name", ["test.tsv.bak", "._test.tsv", "test.tsv.gz", "test.tsv~", ".test.tsv.swp", "test.tsv.orig", "old/test.tsv"]
)
def test_stale_files_beside_the_qrels_of_beir(tmp_path: Path, name: str) -> None:
    folder = beir(tmp_path)
    stale = written(folder / "qrels" / name, STALE)
    if name.endswith(".gz"):
        stale.write_bytes(gzip.compress(STALE.encode()))
    collection = converted(tmp_path, "beir", folder, languages=("en",))
    assert qrels(collection) == ["a1 0 a2 1"] and collection.splits == ["test"]
    assert [one["file"] for one in collection.manifest["source"]["files"]][-1] == "test.tsv"


def test_qrels_of_beir_without_their_header(tmp_path: Path) -> None:
    folder = beir(tmp_path)
    written(folder / "qrels" / "test.tsv", "a1\ta2\t1\n")
    with pytest.raises(InputError) as caught:
        converted(tmp_path, "beir", folder, languages=("en",))
    said = str(caught.value)
    assert "test.tsv:1: 3 columns without a header" in said and 'BEIR qrels 3, under "query-id corpus-id score"' in said


def test_qrels_of_beir_that_are_only_packed(tmp_path: Path) -> None:
    folder = beir(tmp_path)
    for file in [folder / "corpus.jsonl", folder / "qrels" / "test.tsv"]:
        file.with_name(f"{file.name}.bz2").write_bytes(bz2.compress(file.read_bytes()))
        file.unlink()
    assert qrels(converted(tmp_path, "beir", folder, languages=("en",))) == ["a1 0 a2 1"]
    (folder / "qrels" / "test.tsv.bz2").rename(folder / "qrels" / "test.tsv.bak")
    with pytest.raises(InputError, match=r"qrels: no file like test\.tsv"):
        formats.read("beir", [str(folder)], Options(languages=("en",)))


def test_stale_files_of_miracl(tmp_path: Path) -> None:
    corpus, judged = tmp_path / "in" / "miracl-corpus-v1.0-de", tmp_path / "in" / "miracl-v1.0-de"
    written(corpus / "docs-0.jsonl", '{"docid": "1#0", "title": "T", "text": "new"}\n')
    (corpus / "docs-0.jsonl.gz").write_bytes(gzip.compress(b'{"docid": "2#0", "title": "T", "text": "old"}\n'))
    written(corpus / "docs-0.jsonl.bak", "no\n")
    written(judged / "topics" / "topics.miracl-v1.0-de-dev.tsv", "1\tneu\n")
    written(judged / "topics" / "topics.miracl-v1.0-de-dev.tsv.bak", "1\talt\n")
    written(judged / "qrels" / "qrels.miracl-v1.0-de-dev.tsv", "1 Q0 1#0 1\n")
    written(judged / "qrels" / "qrels.miracl-v1.0-de-dev.tsv.bak", "1 Q0 1#0 0\n")
    collection = converted(tmp_path, "miracl", tmp_path / "in")
    assert qrels(collection, "dev", "de") == ["1 0 1#0 1"] and collection.document_count("de") == 1
    assert collection.read_queries("dev", "de") == {"1": "neu"} and collection.manifest["notes"] == []
    written(tmp_path / "in" / "copy" / "qrels.miracl-v1.0-de-dev.tsv", "1 Q0 1#0 0\n")
    with pytest.raises(InputError, match=r"qrels\.miracl-v1\.0-de-dev\.tsv again, first in "):
        formats.read("miracl", [str(tmp_path / "in")], Options())


def test_stale_files_of_msmarco(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name, new, old in (
        ("collection.tsv", "d\tx\n", "e\tx\n"),
        ("queries.dev.tsv", "1\tnew\n", "1\told\n"),
        ("qrels.dev.tsv", "1 0 d 1\n", "1 0 d 0\n"),
    ):
        written(folder / name, new)
        for stale in (f"{name}.bak", f"._{name}"):
            written(folder / stale, old)
        (folder / f"{name}.gz").write_bytes(gzip.compress(old.encode()))
    collection = converted(tmp_path, "msmarco", folder, languages=("en",))
    assert collection.splits == ["dev"] and qrels(collection, "dev") == ["1 0 d 1"]
    assert collection.read_queries("dev", "en") == {"1": "new"} and collection.document_count("en") == 1
