"""Options of numbers, of every command: numbers that are written in full, of a size that the libraries take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from xqe.cli import command, run
from xqe.errors import XqeError
from xqe.models.engines.llama.settings import tensor_split

NO_NUMBERS = ("nan", "-nan", "inf", "-inf", "Infinity", "1e400", "1" + 400 * "0", "1_0", "１", "0x10", " 1", "")


def _commands(group: Any) -> Iterator[Any]:
    for name in group.list_commands(None):
        one = group.get_command(None, name)
        yield from _commands(one) if hasattr(one, "commands") else [one]


def _is_taken(parameter: Any, text: str) -> bool:
    try:
        parameter.type.convert(text, parameter, None)
    except Exception as error:
        assert type(error).__name__ == "BadParameter", error
        return False
    return True


def test_every_option_of_a_number_takes_numbers_alone() -> None:
    seen = set()
    for one in _commands(command()):
        for parameter in one.params:
            if parameter.type.name.startswith(("int", "float")):
                seen.add(parameter.opts[0])
                wrong = [text for text in NO_NUMBERS if _is_taken(parameter, text)]
                assert not wrong, (one.name, parameter.opts)
                least = getattr(parameter.type, "min", None)
                assert _is_taken(parameter, str(1 if least is None else least)), (one.name, parameter.opts)
                assert parameter.type.name.startswith("float") or not _is_taken(parameter, str(2**31))
    assert {"--k1", "--temperature", "--older-than", "--weight", "--top-p", "--timeout", "-k", "--rel"} <= seen


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "x", "--query-weight", "１"),
        ("search", "x", "--query-weight", "nan"),
        ("expand", "--batch", "1_0"),
        ("expand", "--ctx", "1" + 400 * "0"),
        ("grid", "x.toml", "--shard", f"1/1{400 * '0'}"),
        ("data", "sample", "x", "--out", "y", "--queries", "1", "--pool", "²"),
    ],
)
def test_options_that_read_numbers_of_their_own(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(list(arguments)) == 2
    assert "invalid value for '--" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--tensor-split", "nan"), '--tensor-split "nan" is not a list of numbers'),
        (("--tensor-split", "1,inf"), '--tensor-split "1,inf" is not a list of numbers'),
        (("--lora", "a.gguf:nan"), '--lora a.gguf: the scale "nan" is no number'),
        (("--lora", "a.gguf:1_0"), '--lora a.gguf: the scale "1_0" is no number'),
    ],
)
def test_a_model_that_does_not_heed_an_option_refuses_what_is_no_number(
    option: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["expand", "zinc", "--lang", "en", "--model", "fake", "--no-store", *option]) == 2
    assert capsys.readouterr().err.startswith(f"xqe: {said}")


@pytest.mark.parametrize("text", ["nan", "1,nan", "nan,1", "3,inf", "1_0,1", "１,2", ""])
def test_the_parts_of_a_model_are_numbers(text: str) -> None:
    with pytest.raises(XqeError, match="is not a list of numbers"):
        tensor_split(text)
