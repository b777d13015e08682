from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from tests.support.console import run_policy

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

UGLY = '{"a":[1,\n2,], // why\n}'
NICE = '{"a": [\n\t1,\n\t2,\n]} // why\n'


def _ugly(folder: Path, text: str = UGLY) -> Path:
    path = folder / "ugly.hujson"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def test_a_file_is_laid_out_in_place(folder: Path) -> None:
    path = _ugly(folder)
    ran = run_policy("fmt", path)
    assert ran.code == 0
    assert ran.stdout == f"reformatted {path}\n"
    assert "// why" in path.read_text()
    assert run_policy("fmt", "--check", path).code == 0


def test_a_file_in_the_standard_layout_is_not_touched(policy: Path) -> None:
    before = policy.stat()
    ran = run_policy("fmt", policy)
    assert (ran.code, ran.stdout) == (0, "")
    assert policy.stat().st_mtime_ns == before.st_mtime_ns


def test_the_mode_of_a_file_stays(folder: Path) -> None:
    path = _ugly(folder)
    path.chmod(0o640)
    run_policy("fmt", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(folder: Path) -> None:
    path = _ugly(folder)
    link = folder / "link.hujson"
    link.symlink_to(path)
    run_policy("fmt", link)
    assert link.is_symlink()
    assert path.read_text() != UGLY


def test_nothing_is_left_beside_the_file(folder: Path) -> None:
    path = _ugly(folder)
    run_policy("fmt", path)
    assert list(folder.iterdir()) == [path]


def test_a_failed_write_leaves_the_file_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _ugly(folder)

    def fail(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    ran = run_policy("fmt", path)
    assert ran.code == 2
    assert "not written: No space left on device" in ran.stderr
    assert path.read_text() == UGLY
    assert list(folder.iterdir()) == [path]


def test_check_writes_nothing(folder: Path) -> None:
    path = _ugly(folder)
    ran = run_policy("fmt", "--check", path)
    assert ran.code == 1
    assert ran.stdout == f"would reformat {path}\n"
    assert path.read_text() == UGLY


def test_a_difference_can_be_applied(folder: Path) -> None:
    ran = run_policy("fmt", "--diff", _ugly(folder))
    assert ran.code == 1
    assert '-{"a":[1,\n' in ran.stdout
    assert "\\ No newline at end of file\n" in ran.stdout
    assert "+" in ran.stdout


def test_no_difference_is_no_output(policy: Path) -> None:
    assert run_policy("fmt", "--diff", policy)[:2] == (0, "")


def test_standard_input_goes_to_standard_output() -> None:
    ran = run_policy("fmt", "-", stdin=b'{"a":1}')
    assert ran[:2] == (0, '{"a": 1}\n')


def test_standard_input_in_layout_is_passed_on() -> None:
    assert run_policy("fmt", "-", stdin=b'{"a": 1}\n').stdout == '{"a": 1}\n'


def test_what_cannot_be_parsed_is_refused_and_left_alone(folder: Path) -> None:
    path = _ugly(folder, '{"a":}')
    ran = run_policy("fmt", path)
    assert ran.code == 1
    assert "POL101" in ran.stderr
    assert path.read_text() == '{"a":}'


def test_the_others_are_laid_out_all_the_same(folder: Path) -> None:
    bad = folder / "bad.hujson"
    bad.write_text("{")
    path = _ugly(folder)
    assert run_policy("fmt", bad, path).code == 1
    assert path.read_text() != UGLY


def test_a_name_given_twice_is_no_matter_of_layout(folder: Path) -> None:
    path = _ugly(folder, '{"a":1,"a":2}')
    assert run_policy("fmt", path).code == 0
    assert path.read_text() == '{"a": 1, "a": 2}\n'


def test_json_tells_which_files_change(folder: Path, policy: Path) -> None:
    ran = run_policy("fmt", "--check", "-f", "json", _ugly(folder), policy)
    assert [file["changed"] for file in ran.json()["files"]] == [True, False]


def test_concise_findings_are_lines(folder: Path) -> None:
    ran = run_policy("fmt", "-f", "concise", _ugly(folder, "{"))
    assert ran.stderr.count("\n") == 1


def test_bytes_that_are_not_utf8_are_refused(folder: Path) -> None:
    path = _ugly(folder, '{"a": "\udcff"}')
    assert run_policy("fmt", path).code == 1


def test_a_coloured_difference_passes_no_escape_on(folder: Path) -> None:
    path = _ugly(folder, '{"a":1} // \x1b[2J\n')
    ran = run_policy("fmt", "--diff", "--color", "always", path)
    assert "\x1b[2J" not in ran.stdout
    assert "\x1b[32m" in ran.stdout
