"""Makes a folder for `languages.py` of LibreOffice's help: the title of a page is the query, its text the document.

    python benchmarks/libreoffice_help.py FILE.deb... OUT

The files are Debian's or Ubuntu's packages libreoffice-help-LANG, libreoffice-help-en-us among them, which `apt-get
download` fetches (3 MB a language; MPL-2.0); dpkg-deb unpacks them. Ids are the paths of pages, shared by languages.
Left out are English pages of fewer than 200 characters, or that begin as another one does, texts of fewer than 60,
titles that two pages have, and translations that are for the most part English.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

LEAST_ENGLISH, LEAST, FEWEST = 200, 60, 30
MOST_ENGLISH = 0.4  # of the longer lines
CODES = {"en-us": "en", "zh-cn": "zh"}
BLOCKS = frozenset(("p", "h2", "h3", "h4", "li", "td", "th", "pre", "div", "tr", "br"))
NO_TEXT = frozenset(("script", "style", "h1"))


class Page(NamedTuple):
    title: str
    text: str


class Reader(HTMLParser):
    """The title of a page, and the text of its area but for its first heading."""

    def __init__(self) -> None:
        super().__init__()
        self.title, self.parts = "", [""]
        self._tags: list[str] = []
        self._area = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in BLOCKS:
            self.parts.append("")
        if self._area or dict(attrs).get("id") == "DisplayArea":
            self._area += tag == "div"
        if tag in NO_TEXT or tag == "title":
            self._tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._area -= bool(self._area) and tag == "div"
        if self._tags and self._tags[-1] == tag:
            self._tags.pop()

    def handle_data(self, data: str) -> None:
        if self._tags == ["title"]:
            self.title += data
        elif self._area and not self._tags:
            self.parts[-1] += data

    @property
    def page(self) -> Page:
        lines = (" ".join(part.split()) for part in self.parts)
        return Page(" ".join(self.title.split()), "\n".join(line for line in lines if line))


def pages(package: Path) -> dict[str, Page]:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "-x", str(package), folder], check=True)
        found = {}
        for path in sorted(Path(folder).glob("usr/share/libreoffice/help/*/text/**/*.html")):
            reader = Reader()
            reader.feed(path.read_text("utf-8", "replace"))
            if reader.page.title:
                found[str(path).partition("/text/")[2].removesuffix(".html")] = reader.page
        return found


def is_translated(page: Page, english: Page) -> bool:
    if page.title == english.title or page.text[:150] == english.text[:150]:
        return False
    theirs, lines = set(english.text.split("\n")), [line for line in page.text.split("\n") if len(line) > 20]
    return sum(line in theirs for line in lines) <= MOST_ENGLISH * len(lines)


def main(packages: list[Path], out: Path) -> None:
    by_code = {}
    for package in packages:
        named = re.match(r"libreoffice-help-([a-z-]+)_", package.name)
        if named is None:
            raise SystemExit(f"{package}: not a package of LibreOffice's help")
        by_code[CODES.get(named[1], named[1])] = package
    english = pages(by_code.pop("en"))
    kept: dict[str, Page] = {}
    beginnings: set[str] = set()
    for key, page in english.items():
        beginning = page.text[:200].lower()
        if len(page.text) >= LEAST_ENGLISH and beginning not in beginnings:
            beginnings.add(beginning)
            kept[key] = page
    out.mkdir(parents=True, exist_ok=True)
    write(out, "en", kept)
    for code, package in by_code.items():
        own = {key: page for key, page in pages(package).items() if key in kept and len(page.text) >= LEAST}
        write(out, code, {key: page for key, page in own.items() if is_translated(page, kept[key])})


def write(out: Path, code: str, its: dict[str, Page]) -> None:
    if len(its) < FEWEST:
        return
    titles = Counter(page.title.lower() for page in its.values())
    asked = {key: page.title for key, page in its.items() if titles[page.title.lower()] == 1}
    for kind, rows in (
        ("docs", ({"id": key, "text": page.text} for key, page in its.items())),
        ("queries", ({"id": key, "query": title, "lang": code} for key, title in asked.items())),
    ):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / f"{kind}.{code}.jsonl").write_text("".join(lines), "utf-8")
    print(code, len(its), len(asked), flush=True)


if __name__ == "__main__":
    *files, target = map(Path, sys.argv[1:])
    main(files, target)
