"""A grid whose texts a server makes: what it keeps of the server, and when its texts are done again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from collections_for_tests import fixture_collection
from serving import Server, reply

from xqe import cli
from xqe.experiments.grid.keys import agree
from xqe.experiments.grid.planner import make_plan
from xqe.experiments.grid.settings import read_grid

GRID = """
name = "served"
strategies = ["zeroshot"]
orders = ["te"]
uses = ["doc"]
baselines = ["translation"]
[[models]]
model = "openai:m"
base_url = "URL"
[[collections]]
path = "collection"
pairs = ["de-en"]
"""
SECRETS = ("pa%40ss", "pa@ss", "zzzkey")


pytestmark = pytest.mark.usefixtures("no_keys_or_proxies")


@pytest.fixture
def server(server: Server) -> Server:
    server.gets = {"/v1/models": {"data": [{"id": "m", "root": "/models/a"}]}}
    server.post = lambda subject: reply(f"zinc {len(subject)}", model="m")
    return server


def run(capsys: pytest.CaptureFixture[str], folder: Path, url: str, *options: str) -> str:
    """Run the grid on a server; return what it said, of which the last line has its status before it."""
    (folder / "grid.toml").write_text(GRID.replace("URL", url), "utf-8")
    status = cli.run(["grid", str(folder / "grid.toml"), "--out", str(folder / "out"), "--retries", "0", *options])
    return f"{capsys.readouterr().err}{status}"


def held(folder: Path) -> str:
    """All that is in the folder of the grid, its store included."""
    return "".join(repr(path.read_bytes()) for path in folder.rglob("*") if path.is_file())


def test_the_server_of_a_grid(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XQE_STORE", str(tmp_path / "out" / "store.sqlite"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "grid.lock").touch()
    fixture_collection(tmp_path / "collection", ["de", "en"], topics=3)
    url = server.url.replace("http://", "http://user:pa%40ss@") + "?api_key=zzzkey"

    said = run(capsys, tmp_path, url, "--resume")
    assert "6 texts generated, 0 reused" in said and said.endswith("\n0")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["grid"]["models"][0]["base_url"] == server.url
    told = {"model": "openai:m", "base_url": server.url, "listed": {"root": "/models/a"}, "lora": []}
    assert manifest["models"]["m"] == told
    assert not [secret for secret in SECRETS if secret in said + held(tmp_path / "out")]

    changed = run(capsys, tmp_path, url.replace("pa%40ss", "other").replace("zzzkey", "else"), "--resume")
    assert "2 cells, 0 new" in changed and "0 texts generated, 0 reused" in changed and changed.endswith("\n0")

    server.gets = {"/v1/models": {"data": [{"id": "m", "root": "/models/b"}]}}
    another = run(capsys, tmp_path, url, "--resume")
    assert "model m: its server tells another model than at " in another
    assert "2 cells, 2 new" in another and "6 texts generated, 0 reused" in another

    server.shutdown()
    server.server_close()
    away = run(capsys, tmp_path, url, "--resume")
    assert "2 cells, 0 new" in away and away.endswith("\n0"), "nothing is left to ask it for"


@pytest.mark.parametrize("url", ["ftp://user:pa%40ss@h/v1", "http://user:pa%40ss@/v1", "http://user:pa%40ss@h:x/v1"])
def test_an_address_that_is_none_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str) -> None:
    said = run(capsys, tmp_path, url)
    assert "models[1]: base_url is no address" in said and said.endswith("\n2") and "ss@" not in said


def test_the_encoder_of_a_server_by_its_address(server: Server, tmp_path: Path) -> None:
    fixture_collection(tmp_path / "collection", ["de", "en"], topics=3)
    encoder = f'retrievers = ["dense"]\nencoder = {{model = "openai:m", base_url = "URL"}}\n{GRID}'
    url = server.url.replace("http://", "http://user:pa%40ss@")
    (tmp_path / "grid.toml").write_text(encoder.replace("URL", url), "utf-8")
    grid = read_grid(tmp_path / "grid.toml")
    assert grid.raw["encoder"]["base_url"] == server.url
    identity = {"encoder": "openai:m", "base_url": server.url, "listed": {"root": "/models/a"}}
    assert make_plan(grid).encoder == identity


EARLIER: list[tuple[dict[str, Any], bool]] = [
    ({"base_url": "http://user:pw@h/v1"}, True),
    ({"base_url": "http://h/v1", "listed": {"root": "a"}}, True),
    ({"base_url": "http://h/v1", "listed": {"root": "b"}}, False),
    ({"base_url": "http://other/v1"}, False),
]


@pytest.mark.parametrize(("before", "same"), EARLIER, ids=range(len(EARLIER)))
def test_vectors_of_an_earlier_run(before: dict[str, Any], same: bool) -> None:
    now = {"encoder": "openai:e", "base_url": "http://h/v1", "listed": {"root": "a"}}
    assert agree({"encoder": "openai:e", **before}, now) is same
