"""The file that holds a relay's private key, in the form of the field's relay.

A JSON object `{"PrivateKey": "privkey:…"}`; made with mode 0600 at the first start.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from control.keys import NodePrivate

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load_server_key"]


def load_server_key(path: Path) -> NodePrivate:
    """Read the key, or make one that only its owner can read.

    Raises ValueError for a file of other content, OSError for one that cannot be read or made.
    """
    if not path.exists():
        private = NodePrivate.generate(os.urandom)
        text = json.dumps({"PrivateKey": private.to_secret_text()})
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text + "\n")
        return private
    try:
        return NodePrivate.from_secret_text(json.loads(path.read_text("utf-8"))["PrivateKey"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path}: not a server key file; expected {{"PrivateKey": "privkey:…"}}'
        ) from error
