"""Versions of packages, against importlib.metadata."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from xqe.files import packages
from xqe.text.segmenters import SEGMENTERS


@pytest.mark.parametrize(
    "package", sorted({"tantivy", "PyStemmer", "numpy", *(name for _, names in SEGMENTERS.values() for name in names)})
)
def test_a_version_is_that_of_the_metadata(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = metadata.version(package)
    monkeypatch.delattr(metadata, "version")  # which is not asked
    assert packages.version(package) == expected
    assert packages.version(package.replace("-", "_").upper()) == expected


def test_a_package_with_other_metadata_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.egg-info").mkdir()
    (tmp_path / "other.egg-info" / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: other\nVersion: 3.4\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert packages.version("other") == "3.4"


def test_an_unknown_package() -> None:
    with pytest.raises(metadata.PackageNotFoundError):
        packages.version("no-such-package")
