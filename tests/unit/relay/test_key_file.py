"""The relay's key: made once for its owner alone, read again, and refused when it is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay.key_file import load_server_key

if TYPE_CHECKING:
    from pathlib import Path


def test_key_is_made_once_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "derp.key"
    made = load_server_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_server_key(path).public == made.public


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"PrivateKey": 1}', '{"PrivateKey": "x"}'])
def test_other_content_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / "derp.key"
    path.write_text(content)
    with pytest.raises(ValueError, match="not a server key file"):
        load_server_key(path)
    assert path.read_text() == content
