# SPDX-License-Identifier: Apache-2.0
"""Rules of the house that a reader of the source can rely on."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest

from engine import errors

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("engine", "desktop")
MODULES = [*sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py")), *sorted(ROOT.glob("*.py"))]
# Started by whatever Python there is, before the right one is installed.
LAUNCH = [ROOT / "run.py", ROOT / "engine" / "__init__.py", *sorted((ROOT / "engine" / "launch").glob("*.py"))]
GATE = ROOT / "engine" / "watermark" / "gate.py"
GPL_FILE = ROOT / "engine" / "sinks" / "vcam_host.py"


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def body_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__" and isinstance(node, ast.Assign | ast.AnnAssign):
            return list(ast.literal_eval(node.value)) if node.value is not None else None
    return None


def defined(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_has_licence_docstring_and_all(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    licence = "GPL-2.0-or-later" if path == GPL_FILE else "Apache-2.0"
    assert f"# SPDX-License-Identifier: {licence}" in "\n".join(text.splitlines()[:2])
    assert ast.get_docstring(tree), "no module docstring"
    names = exported(tree)
    assert names is not None, "no __all__"
    assert len(names) == len(set(names))
    missing = set(names) - defined(tree)
    assert not missing, f"__all__ names what is not there: {missing}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_public_functions_and_classes_have_docstrings(path: Path) -> None:
    tree = body_of(path)
    public = set(exported(tree) or ())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in public:
            assert ast.get_docstring(node), f"{node.name} has no docstring"


def test_only_the_gate_makes_seals_and_output_frames() -> None:
    for path in MODULES:
        if path == GATE:
            continue
        for node in ast.walk(body_of(path)):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                assert called not in ("Seal", "OutputFrame"), f"{name_of(path)}:{node.lineno} makes a {called}"


def test_the_gate_makes_both() -> None:
    """The test above would be blind to a gate that moved."""
    calls = {getattr(node.func, "id", "") for node in ast.walk(body_of(GATE)) if isinstance(node, ast.Call)}
    assert {"Seal", "OutputFrame"} <= calls


def test_no_module_imports_the_gpl_program() -> None:
    for path in MODULES:
        if path == GPL_FILE:
            continue
        for node in ast.walk(body_of(path)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            bad = [n for n in names if n.startswith(("pyvirtualcam", "engine.sinks.vcam_host"))]
            assert not bad, f"{name_of(path)}:{node.lineno} imports {bad}"


ERROR_CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.PuppeteerError)]
LEAVES = [c for c in ERROR_CLASSES if not c.__subclasses__()]


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda c: c.__name__)
def test_every_leaf_error_is_documented_and_has_an_exit_code(leaf: type[errors.PuppeteerError]) -> None:
    assert leaf.__doc__, "no docstring"
    assert leaf.__doc__ != leaf.__mro__[1].__doc__, "docstring inherited"
    assert 2 <= leaf.exit_code <= 8
    assert leaf.__name__ in errors.__all__
    tree_text = errors.__doc__ or ""
    assert leaf.__name__ in tree_text, "not drawn in the module's tree"
    family = next(c.__name__ for c in leaf.__mro__ if "exit_code" in vars(c))
    assert re.search(rf"{family}\s+{leaf.exit_code}\b", tree_text), "the tree gives another exit code"


@pytest.mark.parametrize("path", LAUNCH, ids=name_of)
def test_what_starts_first_is_old_python_and_standard_library(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
    # What stands under `if TYPE_CHECKING` never runs.
    guarded = {id(x) for n in tree.body if isinstance(n, ast.If) for x in ast.walk(n)}
    for node in ast.walk(tree):
        if id(node) in guarded or not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        bad = [n for n in names if n.split(".")[0] not in sys.stdlib_module_names and not n.startswith("engine.launch")]
        assert not bad, f"{name_of(path)}:{node.lineno} imports {bad}"


def test_no_machine_path_is_committed() -> None:
    for path in MODULES:
        assert not re.search(r"/(work|tmp|home|root)/\w", path.read_text(encoding="utf-8")), name_of(path)
