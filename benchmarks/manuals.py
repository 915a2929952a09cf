"""A collection of manual pages in several languages: a page's one-line description finds the English page.

    python benchmarks/manuals.py DIR

Needs apt-get and dpkg of a Debian machine; downloads some 50 MB. DIR gets docs.LANG.jsonl, queries.LANG.jsonl and
qrels.tsv, as `expansion.py` and `hybrid.py` take them. The documents are long (1,700 tokens on average) and begin with
what they are about; their NAME section, which is the query, is taken out of them.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

LANGUAGES = {"en": "", "de": "de", "fr": "fr", "ja": "ja", "pt": "pt_BR", "ru": "ru", "es": "es"}
PACKAGES = [
    "manpages",
    "manpages-dev",
    "manpages-de",
    "manpages-de-dev",
    "manpages-fr",
    "manpages-fr-dev",
    "manpages-ja",
    "manpages-pt-br",
    "manpages-pt-br-dev",
    "manpages-ru",
    "manpages-es",
    "manpages-es-dev",
    "apt",
    "bsdextrautils",
    "coreutils",
    "cpio",
    "cron",
    "cups",
    "cups-client",
    "diffutils",
    "dpkg",
    "e2fsprogs",
    "findutils",
    "gawk",
    "grep",
    "gzip",
    "iproute2",
    "iputils-ping",
    "kmod",
    "lftp",
    "login",
    "mount",
    "openssl",
    "passwd",
    "procps",
    "psmisc",
    "sed",
    "sysstat",
    "systemd",
    "tar",
    "util-linux",
    "vim-common",
    "wget",
    "xz-utils",
]

_TEXT_MACROS = frozenset(
    [
        "SS",
        "Ss",
        "B",
        "I",
        "BR",
        "BI",
        "IR",
        "IB",
        "RB",
        "RI",
        "SM",
        "SB",
        "TP",
        "Nm",
        "Nd",
        "Fl",
        "Ar",
        "Pa",
        "Xr",
        "Em",
    ]
)
_LEFT_OUT = re.compile(r"SYNOPSIS|COPYRIGHT|AUTHOR|REPORTING|COLOPHON|ÜBERSICHT|SEE ALSO|TRANSL", re.IGNORECASE)
_ESCAPES = re.compile(r"\\f\(..|\\f\[.*?\]|\\f.|\\s[-+]?\d+|\\m\[.*?\]|\\[&c/,^%:|]")
_CHARACTERS = {"\\-": "-", "\\(em": "—", "\\(aq": "'", "\\(bu": "•", "\\(dq": '"', "\\~": " "}
_OTHER_ESCAPES = re.compile(r"\\\(..|\\\[.*?\]|\\\*\(..|\\\*.|\\")


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), "pages"], cwd=folder, check=True)
        pages = {lang: dict(_pages(folder / "pages/usr/share/man" / place)) for lang, place in LANGUAGES.items()}
    english: dict[str, str] = {}  # description -> the first page that has it
    for page, (about, _) in pages["en"].items():
        english.setdefault(about.lower(), page)
    known = set(english.values())
    for lang, found in pages.items():
        chosen = {
            page: said
            for page, said in found.items()
            if page in known and (lang == "en" or said[0] != pages["en"][page][0])
        }
        _write(out / f"docs.{lang}.jsonl", ({"id": page, "text": said[1]} for page, said in chosen.items()))
        queries = ({"id": page, "query": said[0], "lang": lang} for page, said in chosen.items())
        _write(out / f"queries.{lang}.jsonl", queries)
        print(f"{lang}: {len(chosen)} pages", file=sys.stderr)
    (out / "qrels.tsv").write_text("".join(f"{page} 0 {page} 1\n" for page in sorted(known)), "utf-8")


def _write(path: Path, rows: Iterator[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def _pages(folder: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """The name of each page with its description and its text, of those that have both."""
    for path in sorted(folder.glob("man[1-8]/*")):
        if path.is_file() and (said := _read(path)) and len(said[1]) > 200 and 8 < len(said[0]) < 200:
            yield path.name.removesuffix(".gz"), said


def _read(path: Path) -> tuple[str, str] | None:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    try:
        source = data.decode("utf-8")
    except UnicodeDecodeError:
        source = data.decode("latin-1")
    sections = list(_sections(source))
    if len(sections) < 2:
        return None
    parts = re.split(r"\s[-—–]+\s", _plain(" ".join(sections[0][1])), maxsplit=1)
    if len(parts) < 2:
        return None
    body = " ".join(_plain(" ".join(lines)) for title, lines in sections[1:] if not _LEFT_OUT.match(title))
    return parts[1].strip(), body.strip()


def _sections(source: str) -> Iterator[tuple[str, list[str]]]:
    """The titles of a page's sections, and the lines of text in each, without its macros."""
    title, lines = "", []
    for line in source.split("\n"):
        macro = re.match(r"\.\s*(\w+)\s*(.*)", line)
        if line.startswith(('.\\"', "'\\\"")):
            continue
        if macro is None:
            lines.append(line)
        elif macro[1] in ("SH", "Sh"):
            if title:
                yield title, lines
            title, lines = macro[2].strip('" '), []
        elif macro[1] in _TEXT_MACROS:
            text = macro[2].replace('"', "")
            lines.append(f"- {text}" if macro[1] == "Nd" else text)
        elif macro[1] == "IP" and '"' in macro[2]:
            lines.append(macro[2].split('"')[1])
    if title:
        yield title, lines


def _plain(text: str) -> str:
    text = _ESCAPES.sub("", text)
    for escape, character in _CHARACTERS.items():
        text = text.replace(escape, character)
    return " ".join(_OTHER_ESCAPES.sub("", text).split())


if __name__ == "__main__":
    main()
