# SPDX-License-Identifier: Apache-2.0
"""The borders between modules, held by machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HEAVY = (
    "PIL", "PySide6", "av", "cv2", "mediapipe", "numpy", "onnx", "openvino", "pydantic", "pyvirtualcam", "rich",
    "scipy", "tensorrt", "tomlkit", "torch",
)  # fmt: skip

# Import every module of the running app with these packages made unimportable.
BLOCKED = ("PySide6", "onnx", "onnxscript", "pyqtgraph", "pyvirtualcam", "safetensors", "skimage", "tensorrt", "torch")
IMPORT_ALL_WITH_BLOCKED = """
import importlib, pkgutil, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is blocked here", name=name)
BLOCKED = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Blocker())
import engine
side_lanes = ("engine.build", "engine.models", "engine.training")
own_programs = ("engine.runtime.torch_runner", "engine.sinks.vcam_host")
def skip(name):
    return name.startswith(side_lanes) or name in own_programs or name.endswith("__main__")
def walk(path, prefix):
    for module in pkgutil.iter_modules(path, prefix):
        if skip(module.name):
            continue
        found = importlib.import_module(module.name)
        print(module.name)
        if module.ispkg:
            walk(found.__path__, module.name + ".")
walk(engine.__path__, "engine.")
"""


def run_python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *args], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )


def test_import_layers_hold() -> None:
    # In a process of its own: import-linter reconfigures logging, which would silence our loggers here.
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = run_python(code)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = re.search(r"Contracts: (\d+) kept, 0 broken", done.stdout)
    assert kept, done.stdout
    assert int(kept[1]) >= 10


def test_the_app_runs_without_torch_qt_and_extras() -> None:
    done = run_python(IMPORT_ALL_WITH_BLOCKED, ",".join(BLOCKED))
    assert done.returncode == 0, done.stderr[-2000:]
    assert {"engine.renderer", "engine.pipeline", "engine.app", "engine.cli"} <= set(done.stdout.split())


@pytest.mark.parametrize("import_line", ["import engine", "import engine.cli", "import desktop"])
def test_importing_a_package_pulls_nothing_heavy(import_line: str) -> None:
    done = run_python(f"import sys; {import_line}; print(*{{name.split('.')[0] for name in sys.modules}})")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()).isdisjoint(HEAVY)


def test_help_pulls_nothing_heavy() -> None:
    code = (
        "import sys, time; start = time.perf_counter()\n"
        "from engine.cli import main\n"
        "code = main(['--help'])\n"
        "print('TOOK', round(time.perf_counter() - start, 3))\n"
        "print('MODULES', *{name.split('.')[0] for name in sys.modules}); sys.exit(code)"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert "animate" in done.stdout
    print(done.stdout.split("TOOK")[1].split("\n")[0], "s for bunraku --help")
    assert set(done.stdout.split("MODULES")[1].split()).isdisjoint(HEAVY)


def test_cv2_leaves_no_qt_variables_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
    for name in names:
        monkeypatch.delenv(name, raising=False)  # a test that imports cv2 itself has set them here
    done = run_python(f"import engine.cv, os; print(*(n in os.environ for n in {names}))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "False"]
