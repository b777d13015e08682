"""Scripts that let a shell complete commands and flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from control.errors import InvalidRequestError

if TYPE_CHECKING:
    from control.cli.parsing import Parser

__all__ = ["SHELLS", "completion"]

SHELLS: Final = ("bash", "zsh", "fish")


def completion(parser: Parser, shell: str) -> str:
    """Return a script for a shell; raises InvalidRequestError for one that is not known."""
    words = {path: flags for path, flags in parser.flags() if not path.startswith("_")}
    if shell == "bash":
        return _bash(parser.program, words)
    if shell == "zsh":
        return f"autoload -U +X bashcompinit && bashcompinit\n{_bash(parser.program, words)}"
    if shell == "fish":
        return _fish(parser.program, words)
    raise InvalidRequestError(f"shell {shell!r}: choose {', '.join(SHELLS)}")


def _choices(words: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Return what may follow each beginning of a command."""
    choices: dict[str, dict[str, None]] = {}
    for path, flags in words.items():
        noun, _, verb = path.rpartition(" ")
        if noun:
            choices.setdefault("", {})[noun] = None
        choices.setdefault(noun, {})[verb] = None
        choices.setdefault(path, {}).update(dict.fromkeys(flags))
    return {beginning: list(found) for beginning, found in choices.items()}


def _bash(program: str, words: dict[str, tuple[str, ...]]) -> str:
    name, *inner = program.split()
    cases = "\n".join(
        f'    "{beginning}") words="{" ".join(found)}" ;;'
        for beginning, found in _choices(words).items()
    )
    return f"""\
# Completion of `{program}` for bash.
_postern_{inner[0]}() {{
  [ "${{COMP_WORDS[1]}}" = "{inner[0]}" ] || return 0
  local given="" word words=""
  for word in "${{COMP_WORDS[@]:2:COMP_CWORD-2}}"; do
    case "$word" in -*) break ;; *) given="${{given:+$given }}$word" ;; esac
  done
  case "$given" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _postern_{inner[0]} {name}
"""


def _fish(program: str, words: dict[str, tuple[str, ...]]) -> str:
    name, *inner = program.split()
    lines = [f"# Completion of `{program}` for fish."]
    for beginning, found in _choices(words).items():
        given = " ".join((*inner, *beginning.split()))
        condition = f"__fish_seen_subcommand_from {inner[0]}"
        if beginning:
            condition = f'string match -q -- "{name} {given}*" (commandline -p)'
        for word in found:
            option = word
            if word.startswith("--"):
                option = f"-l {word[2:]}"
            elif word.startswith("-"):
                option = f"-s {word[1:]}"
            else:
                option = f"-a {word}"
            lines.append(f"complete -c {name} -n '{condition}' {option}")
    return "\n".join(lines) + "\n"
