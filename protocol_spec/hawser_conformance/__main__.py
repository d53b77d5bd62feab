"""``python -m hawser_conformance``: what there is to run about the specification."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import matrix
from .findings import EXPLANATIONS, CannotRun, Rule
from .lint import Repository, check, read
from .places import find_root
from .specification import State

_DESCRIPTION = "Tools of the Hawser specification. They know the protocol only from protocol_spec/."

_LINT = """\
Checks that clauses, vectors and citations agree, each way, and prints one line a finding:

  FILE:LINE: RULE: what was seen; fix: what to do

A clause is a line of SPEC.md such as **ATT-5** (MUST) text. Behind the level may stand `planned` (no code keeps it
yet: neither vector nor citation is asked for) or `local` (a peer cannot see it on the wire, or only through an
application: no vector is asked for). **ATT-5** (deleted) is the tombstone of an id.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words behind the command; None for those of the process.

    Returns:
        The exit code: 0 all is well, 1 there are findings. Wrong usage ends the process with 2.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        repository = read(options.root or find_root(Path.cwd()))
    except CannotRun as error:
        parser.error(str(error))
    try:
        return _matrix(repository) if options.matrix else _lint(repository, options.only)
    except BrokenPipeError:
        # Whoever read the output has seen enough; without this the interpreter complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hawser_conformance",
        description=_DESCRIPTION,
        epilog="exit codes: 0 all is well, 1 findings, 2 wrong usage",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    rules = "\n".join(f"  {rule:<18} {EXPLANATIONS[rule]}" for rule in Rule)
    lint = commands.add_parser(
        "lint",
        help="check that clauses, vectors and citations agree",
        description=_LINT,
        epilog=f"rules:\n{rules}\n\nexit codes: 0 all is well, 1 findings, 2 wrong usage",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    lint.add_argument(
        "--root", type=Path, metavar="DIR", help="root of the repository (default: found from here upwards)"
    )
    lint.add_argument(
        "--only", action="append", choices=list(Rule), metavar="RULE", help="report this rule only; may be repeated"
    )
    lint.add_argument(
        "--matrix", action="store_true", help="print clauses, their vectors, code and tests as Markdown, check nothing"
    )
    return parser


def _lint(repository: Repository, only: list[str] | None) -> int:
    findings = [finding for finding in check(repository) if not only or finding.rule in only]
    for finding in findings:
        print(finding)
    clauses = [clause for clause in repository.specification.clauses.values() if clause.state is not State.DELETED]
    print(
        f"{len(clauses)} clauses, {len(repository.cases)} vectors, {len(repository.citations)} citations: "
        f"{len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'}",
        file=sys.stderr,
        flush=True,
    )
    sys.stdout.flush()
    return 1 if findings else 0


def _matrix(repository: Repository) -> int:
    for line in matrix.lines(repository):
        print(line)
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
