"""`postern demo`: a network on this machine, and the proof that its policy is enforced."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from node.demo.lab import Lab, LabError, is_permission, why_not
from node.demo.network import MEMBERS, Network, postern
from node.demo.story import Story, tell
from node.localapi.client import LocalApiError

__all__ = ["main"]

_EXAMPLE = "01-engineering-and-operations.hujson"
_LONGEST_ROOM = 56
"""Of the path of TMPDIR, in bytes: a Unix socket's may have 107, and machines' come below it."""
_IN_WHEEL = Path(__file__).parents[1] / "demo" / "policies"
_IN_TREE = Path(__file__).parents[2] / "examples" / "policies"


def main(arguments: list[str]) -> int:
    """Run `postern demo`. Returns its exit status: 0 when everything was proven."""
    parser = argparse.ArgumentParser(prog="postern demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave a shell to play in at the end")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the logs there")
    options = parser.parse_args(arguments)
    why = why_not()
    if why is not None:
        print(f"postern demo: {why}", file=sys.stderr)
        if is_permission(why):
            print(f"\nAs root, or in namespaces of your own:\n\n  {_unshared()}\n", file=sys.stderr)
        return 1
    policy = next((d / _EXAMPLE for d in (_IN_WHEEL, _IN_TREE) if (d / _EXAMPLE).exists()), None)
    if policy is None:
        print(f"postern demo: {_EXAMPLE} is not there; run from a checkout", file=sys.stderr)
        return 1
    if len(os.fsencode(tempfile.gettempdir())) > _LONGEST_ROOM:
        print(
            f"postern demo: {tempfile.gettempdir()} is too long a path for the sockets of its "
            "machines; run it with TMPDIR=/tmp",
            file=sys.stderr,
        )
        return 1
    return _run(options, policy)


def _unshared() -> str:
    command = f"{sys.executable} -m node.cli demo"
    return (
        "unshare --user --map-root-user --net --mount --pid --fork "
        f"sh -c 'mount -t tmpfs none /run && exec {command}'"
    )


def _run(options: argparse.Namespace, policy: Path) -> int:
    began = time.monotonic()
    # Whoever ends the demo politely gets a tidy machine back, like with Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    directory = Path(tempfile.mkdtemp(prefix="postern-demo-"))
    story = Story(lambda text: print(text, flush=True))
    try:
        with Lab(directory, is_thrown_away=True) as lab:
            network = Network(lab)
            try:
                tell(network, policy.read_text(), story)
            except (LabError, LocalApiError) as error:
                story.check("the demo went through", holds=False, found=str(error))
            seconds = time.monotonic() - began
            print(f"\n{story.proven} proven, {len(story.failed)} failed, in {seconds:.0f} s.")
            if options.keep:
                _play(network)
            print("Taking everything down.", flush=True)
    except KeyboardInterrupt:
        print("\nStopped; everything is taken down.", file=sys.stderr)
        return 1
    finally:
        if options.logs is not None:
            options.logs.mkdir(parents=True, exist_ok=True)
            for log in directory.glob("*.log"):
                shutil.copy(log, options.logs)
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if story.failed else 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _play(network: Network) -> None:
    """Leave a shell with short commands for every machine."""
    folder = network.directory / "bin"
    folder.mkdir()
    for member in MEMBERS:
        state = network.state(member.host)
        _script(folder / member.host, (*network.lab.inside(member.host), "env",
            f"POSTERN_STATE_DIR={state}", f"PATH={folder}:{os.environ['PATH']}"))  # fmt: skip
    _script(folder / "postern", postern())
    config = str(network.directory / "control.yaml")
    _script(folder / "control", postern("control", "-c", config))
    names = ", ".join(member.host for member in MEMBERS)
    print(
        f"\nA shell to play in. Run anything on a machine by its name ({names}):\n\n"
        "  engineer postern status\n"
        "  production postern access\n"
        "  control nodes list\n"
        f"  $EDITOR {network.directory}/policy.hujson && "
        f"control policy set -f {network.directory}/policy.hujson\n\n"
        "Leave it with `exit`; everything is taken down then.\n",
        flush=True,
    )
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "PS1": "demo$ "}
    subprocess.run([os.environ.get("SHELL", "/bin/sh")], env=environment, check=False)  # noqa: S603  the user's own


def _script(path: Path, command: tuple[str, ...]) -> None:
    quoted = " ".join("'" + part.replace("'", "'\\''") + "'" for part in command)
    path.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
    path.chmod(0o755)
