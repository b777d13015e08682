from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from policy.report.version import product_version

if TYPE_CHECKING:
    import pytest


def test_the_version_is_that_of_the_distribution() -> None:
    assert product_version() == metadata.version("postern")


def test_a_tree_that_is_not_installed_has_version_0(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert product_version() == "0"
