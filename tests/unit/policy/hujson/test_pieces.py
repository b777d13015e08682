from __future__ import annotations

from policy.hujson.parse import parse
from policy.hujson.pieces import Piece, pieces
from policy.source import Source


def test_every_piece_is_told_what_it_is() -> None:
    root = parse(Source("p", ' {"a": [true,], "b":1}//\n')).root
    assert root is not None
    assert list(pieces(root)) == [
        (Piece.EXTRA, " "),
        (Piece.MARK, "{"),
        (Piece.VALUE, '"a"'),
        (Piece.MARK, ":"),
        (Piece.EXTRA, " "),
        (Piece.MARK, "["),
        (Piece.VALUE, "true"),
        (Piece.TRAILING_COMMA, ","),
        (Piece.MARK, "]"),
        (Piece.MARK, ","),
        (Piece.EXTRA, " "),
        (Piece.VALUE, '"b"'),
        (Piece.MARK, ":"),
        (Piece.VALUE, "1"),
        (Piece.MARK, "}"),
        (Piece.EXTRA, "//\n"),
    ]
