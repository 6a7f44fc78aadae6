#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the last table of THIRD_PARTY.md from the metadata of what is installed.

    .venv/bin/python .ci/third_party.py           # rewrite the table
    .venv/bin/python .ci/third_party.py --check   # exit code 1 where it differs

Rows of packages that are not installed here (other systems, extras left out) stay as they are.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import sys
from pathlib import Path

__all__ = ["main", "rewritten"]

ROOT = Path(__file__).resolve().parents[1]
NOTICE = ROOT / "THIRD_PARTY.md"
_HEADING = "## Every package, in its own words"
_INTRODUCTION = "Made by `.ci/third_party.py` from the packages' metadata."
_BUILD_TOOLS = {"setuptools", "pip"}
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_LONGEST = 60


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _listed() -> list[str]:
    """Names in pyproject.toml: dependencies and all extras."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    head = text.partition("[project.scripts]")[0]
    return [_normal(name) for name in re.findall(rf'"({_NAME})(?:\[[^\]]*\])?\s*[<>=~!]', head)]


def _needed() -> set[str]:
    """All distributions that these bring into this environment."""
    waiting, found = _listed(), set[str]()
    while waiting:
        name = waiting.pop()
        if name in found or name in _BUILD_TOOLS:
            continue
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        for requirement in requires:
            if "extra ==" not in requirement and (match := re.match(_NAME, requirement)):
                waiting.append(_normal(match[0]))
    return found


def _licence(metadata: importlib.metadata.PackageMetadata) -> str:
    """The licence as the package states it: expression, classifier, or the first line of its text."""
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = [c.split(" :: ")[-1] for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    if classifiers := [c for c in classifiers if c != "OSI Approved"]:
        return "; ".join(classifiers)
    first = (metadata.get("License") or "").strip().splitlines()
    return first[0][:_LONGEST] if first else "not stated"


def _home(metadata: importlib.metadata.PackageMetadata) -> str:
    links = [link.split(",", 1) for link in metadata.get_all("Project-URL") or []]
    named = {label.strip().lower(): url.strip() for label, url in links}
    for label in ("homepage", "home", "source", "source code", "repository"):
        if label in named:
            return named[label]
    return metadata.get("Home-page") or next(iter(named.values()), "")


def _row(name: str) -> str:
    metadata = importlib.metadata.metadata(name)
    cells = (metadata["Name"], _licence(metadata), _home(metadata))
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


def rewritten(text: str) -> str:
    """Return the notice with its last table made anew."""
    head, _, tail = text.partition(_HEADING)
    rows = {_normal(line.split("|")[1].strip()): line for line in tail.splitlines() if line.startswith("| ")}
    rows.pop("package", None)
    rows |= {name: _row(name) for name in _needed()}
    table = ["| package | licence | home |", "|---|---|---|", *(rows[name] for name in sorted(rows))]
    return "\n".join([head.rstrip(), "", _HEADING, "", _INTRODUCTION, "", *table, ""])


def main(arguments: list[str] | None = None) -> int:
    """Rewrite or check the notice; return the exit code."""
    parser = argparse.ArgumentParser(description="The last table of THIRD_PARTY.md, from the packages' metadata.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where it would")
    options = parser.parse_args(arguments)
    before = NOTICE.read_text(encoding="utf-8")
    after = rewritten(before)
    if options.check:
        if after != before:
            sys.stderr.write("THIRD_PARTY.md is not up to date. Run: .venv/bin/python .ci/third_party.py\n")
        return int(after != before)
    NOTICE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
