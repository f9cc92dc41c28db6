"""``python -m faults.report FOLDER... --output page.html``: the page of one run or of several, and its figures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from faults.records import read
from faults.report import report


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m faults.report", description="Judge runs, add them up, and show them."
    )
    parser.add_argument("folders", type=Path, nargs="+", help="where a run was written down, as *.jsonl")
    parser.add_argument("--output", type=Path, default=Path("faults.html"), help="the page (default: %(default)s)")
    options = parser.parse_args(arguments)
    for each in options.folders:
        if not each.is_dir():
            parser.error(f"no such folder: {each}")
    made = report(*map(read, options.folders))
    beside = made.write(options.output)
    for violation in made.verdict.violations[:20]:
        print(f"violated: {violation.rule} {violation.who}: {violation.text}")
    for warning in made.verdict.warnings:
        print("warning:", warning)
    print(f"{len(made.verdict.violations)} violations; {options.output}, {beside}")
    return 1 if not made.verdict.ok or not made.verdict.figures.terms else 0


if __name__ == "__main__":
    sys.exit(main())
