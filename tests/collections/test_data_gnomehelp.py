"""Pages of help as a collection: what of their XML is text, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from archive_for_tests import mirror, served

from xqe.cli import run
from xqe.collections import gnomehelp
from xqe.collections.counterparts import Text
from xqe.collections.layout import Collection

PAGE = """<?xml version="1.0" encoding="utf-8"?>
<!-- a comment -->
<page xmlns="http://projectmallard.org/1.0/" type="topic" id="files-browse">
  <info><desc>Manage files.</desc><credit><name>Ada</name></credit><title type="text">Other</title></info>
  <title>Browse
    <em>files</em></title>
  <p>Use the <app>Files</app> manager
     to browse.</p>
  <media type="image" src="x.png"><p>A picture</p></media>
  <section id="a"><title>Exploring</title>
    <steps><item><p>Press <key>Home</key>.</p></item><item><p>Look.</p><!-- again --></item></steps>
    <screen>$ ls
  $ cd  /tmp</screen>
    <table><tr><td><p>one</p></td><td><p>two</p></td></tr></table>
    <terms><item><title>Icon</title><p>A small picture.</p></item></terms>
  </section>
</page>"""


def test_a_page_is_read() -> None:
    lines = [
        "Use the Files manager to browse.",
        "Exploring",
        "Press Home.",
        "Look.",
        "$ ls",
        "$ cd /tmp",
        "one",
        "two",
        "Icon",
        "A small picture.",
    ]
    assert gnomehelp.page("x", PAGE.encode()) == Text("x", "Browse files", "\n".join(lines))


@pytest.mark.parametrize(
    "source", [b"", b"<page><p>No title.</p></page>", b"<page><title> </title></page>", b"<page>&x;"]
)
def test_what_is_no_page(source: bytes) -> None:
    assert gnomehelp.page("x", source) is None


def mallard(title: str, text: str) -> bytes:
    return f"<page><title>{title}</title><p>{text}</p></page>".encode()


def test_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    files: dict[str, bytes | str] = {}
    for number in range(40):
        where = f"tool/page{number}.page"
        files[f"usr/share/help/C/{where}"] = mallard(f"Open file {number}", f"How to open file {number}. " * 14)
        files[f"usr/share/help/de/{where}"] = mallard(f"Datei {number} öffnen", f"So öffnet man Datei {number}. " * 14)
        files[f"usr/share/help/pt/{where}"] = mallard(f"Abrir em Portugal {number}", f"Abre o ficheiro {number}. " * 14)
    files["usr/share/help/pt_BR/tool/page1.page"] = mallard("Abrir no Brasil", "Abra o arquivo 1. " * 14)
    files["usr/share/help/de/tool/page0.page"] = "../../C/tool/page0.page"
    files["usr/share/help/de/tool/page2.page"] = b"<page>"
    files["usr/share/help/de/tool/picture.png"] = b"no page"
    mirror(tmp_path / "mirror", {"tool": files})
    monkeypatch.setenv("XQE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "*")
    out = tmp_path / "out"
    with served(tmp_path / "mirror") as (url, _):
        options = ["--mirror", url, "--release", "test", "--lang", "en,de,pt"]
        assert run(["data", "build", "gnome-help", "--out", str(out), *options]) == 0
    assert json.loads(capsys.readouterr().out)["documents"] == {"de": 38, "en": 40, "pt": 40}
    collection = Collection(out)
    queries = {
        lang: {key: text for split in collection.splits for key, text in collection.read_queries(split, lang).items()}
        for lang in ("de", "en", "pt")
    }
    assert queries["de"]["tool/page3"] == "Datei 3 öffnen" and queries["en"]["tool/page3"] == "Open file 3"
    # of two kinds of Portuguese the one that is named first
    assert queries["pt"]["tool/page1"] == "Abrir no Brasil" and queries["pt"]["tool/page3"] == "Abrir em Portugal 3"
    assert collection.manifest["notes"] == ["de: 1 pages left out that have no title, or are damaged"]
