"""Which model a server answers with, as far as it tells: by its list of models, and by its answers.

What GET /models tells of the weights is part of a model's identity, so that the texts of two models behind one name
are kept apart. What answers tell, the name of a version or a fingerprint, changes with each update of a hosted server,
and from answer to answer where one chooses among models; so it is noted, and a change is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from xqe.messages import say
from xqe.models.engines.base import Engine

Told = Mapping[str, Any]
"""What the answers of a server tell, as `served.made_by` has it."""

_CALLED = {"served": "model", "fingerprint": "version"}
_ANEW = "--no-store generates anew"


class Witness:
    """Knows what a server has told in this run, and compares texts of earlier runs with it.

    named: the identity of the model where its server tells nothing. listed: what its list of models tells. probe: has
    the server answer, and returns what it tells; None where it does not answer.
    """

    def __init__(self, named: Mapping[str, Any], listed: Mapping[str, Any], probe: Callable[[], Told | None]) -> None:
        self._named = dict(named)
        self._listed = dict(listed)
        self._probe = probe
        self._has_probed = self._has_warned = False
        self._told: Told | None = None

    @property
    def told(self) -> Told:
        """What the answer that came last told."""
        return self._told or {}

    def identities(self) -> list[dict[str, Any]]:
        """The identity of the model, and under it what texts are kept by that were made when nothing was told."""
        return [{**self._named, "listed": self._listed}, self._named] if self._listed else [self._named]

    def heard(self, told: Told) -> None:
        """Note what an answer tells."""
        before, self._told = self._told, told
        if before is not None and self._served(before) != self._served(told):
            self._warn(
                f"it answered as {self._served(before)}, and answers as {self._served(told)} now",
                "its texts are of several models",
            )

    def vouches(self, made_by: Told, identity: Mapping[str, Any]) -> bool:
        """Whether a text that is kept under one of the identities is of the model of now, as far as is known."""
        if self._listed and identity == self._named and not self._may_be_listed(made_by):
            return False
        now = self._now() if made_by else None
        if now is not None:
            for what, called in _CALLED.items():
                then, current = ({"served": self._served(one), **one}.get(what) for one in (made_by, now))
                if None not in (then, current) and then != current:
                    self._warn(f"texts that are reused came from the {called} {then}, and it is {current} now", _ANEW)
        return True

    def _may_be_listed(self, made_by: Told) -> bool:
        """Whether a text that was made when the server did not tell its model may be of the one that it lists now."""
        if "served" in made_by:
            return made_by["served"] in self._listed.values()
        what = "texts that are reused were made before it told which model it has; it may have been another one"
        self._warn(what, _ANEW)
        return True

    def _served(self, told: Told) -> Any:
        """The name that an answer gives the model, which is noted where it is not the one that was asked for."""
        return told.get("served", self._named["model"])

    def _now(self) -> Told | None:
        """What the server tells, for which it is asked if it has not answered yet in this run."""
        if self._told is None and not self._has_probed:
            self._has_probed = True
            self._told = self._probe()
        return self._told

    def _warn(self, what: str, consequence: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            say(f"{self._named['server']}: {what}; {consequence}")


class Witnessed(Engine):
    """An engine that asks a server, whose model is what a witness knows of it."""

    _witness: Witness

    def identity(self) -> dict[str, Any]:
        return self.identities()[0]

    def identities(self) -> list[dict[str, Any]]:
        return self._witness.identities()

    def vouches(self, made_by: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
        return self._witness.vouches(made_by, identity)
