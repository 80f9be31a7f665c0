"""Who may import whom (ARCHITECTURE.md), read from the imports themselves; and what no module may do."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "recon"
FILES = sorted(ROOT.rglob("*.py"))

ROWS = [
    {"files", "geometry", "memory", "runtime", "metrics", "kernels"},
    {"fields"},
    {"scenes", "shapes", "signals", "rendering", "surfaces"},
    {"training", "data"},
    {"tasks"},
    {"diagnosis", "report", "viewer", "studies"},
    {"api", "commands"},
    {"cli"},
    {"__main__"},
]
"""The table of ARCHITECTURE.md: a module imports only from strictly lower rows, and from its own package.

`recon` itself names what `recon.api` has, for type checkers, and loads it when it is used."""

ROW = {name: number for number, names in enumerate(ROWS) for name in names}
MAY_PRINT = {"commands", "cli"}
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "torch.load", "yaml.load", "np.load", "numpy.load", "marshal.loads",
}  # fmt: skip
ANYWHERE = {"eval", "exec", "torch.load", "yaml.load", "marshal.loads", "os.system", "os.popen"}
"""Calls that tests and scripts don't make either,"""
KEYWORDS = {"shell", "allow_pickle", "trust_remote_code"}
"""and arguments that every call that names them says False to."""
FORBIDDEN_MODULES = {"pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}

every_file = pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(ROOT)) for p in FILES])


def module_of(path: Path) -> list[str]:
    """recon/fields/base.py is [recon, fields, base]; a package's __init__.py is the package."""
    parts = ["recon", *path.relative_to(ROOT).with_suffix("").parts]
    return parts[:-1] if parts[-1] == "__init__" else parts


def imported(path: Path, source: str) -> Iterator[str]:
    """Every module and name that a file imports, at its top or within functions, relative ones made absolute."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path)[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            head = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{head}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in ("importlib.import_module", "import_module"):
            yield from (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def called(call: ast.Call) -> str:
    """The dotted name that is called, or nothing."""
    return ast.unparse(call.func) if isinstance(call.func, ast.Name | ast.Attribute) else ""


def breaches(path: Path, source: str) -> list[str]:
    """Imports of this file that the table forbids."""
    own = (module_of(path) + [""])[1]
    found = []
    for name in imported(path, source):
        top, _, rest = name.partition(".")
        part = rest.partition(".")[0]
        allowed = ROW[part] < ROW[own] if own and part in ROW else part == "api"
        if top == "recon" and part in ROW and part != own and not allowed:
            found.append(f"{path.name} of '{own or 'recon'}' imports {name}")
    return found


@every_file
def test_every_module_has_a_row(path):
    assert [*module_of(path), ""][1] in {*ROW, ""}


@every_file
def test_modules_import_only_from_lower_rows(path):
    assert breaches(path, path.read_text(encoding="utf-8")) == []


@every_file
def test_nothing_is_imported_by_star(path):
    assert not any(name.endswith(".*") for name in imported(path, path.read_text(encoding="utf-8")))


@every_file
def test_only_commands_print(path):
    if (module_of(path) + [""])[1] not in MAY_PRINT:
        assert "print" not in calls(path)


@every_file
def test_no_file_can_bring_code_in(path):
    """Weights and settings are read as data: nothing unpickles, evaluates, or loads objects."""
    assert FORBIDDEN_CALLS.isdisjoint(calls(path))
    tops = {name.partition(".")[0] for name in imported(path, path.read_text(encoding="utf-8"))}
    assert FORBIDDEN_MODULES.isdisjoint(tops)
    assert "allow_pickle=True" not in path.read_text(encoding="utf-8")


def dangers(source: str) -> set[str]:
    """What a file does that could run what a stranger's file says, or write where a stranger's archive wants."""
    tree, found = ast.parse(source), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.partition(".")[0] in FORBIDDEN_MODULES}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in FORBIDDEN_MODULES:
            found.add(str(node.module))
        elif isinstance(node, ast.Call):
            name = called(node)
            found |= {name} & ANYWHERE
            if isinstance(node.func, ast.Attribute) and node.func.attr == "extractall":
                found.add("extractall")
            found |= {str(k.arg) for k in node.keywords if k.arg in KEYWORDS and ast.unparse(k.value) != "False"}
    return found


TREE = sorted(p for folder in ("recon", "tests", "scripts") for p in (ROOT.parent / folder).rglob("*") if p.is_file())
PYTHON = [p for p in TREE if p.suffix == ".py" or (not p.suffix and b"python" in p.read_bytes()[:40])]


def test_nothing_in_the_tree_unpickles_evaluates_starts_a_shell_or_unpacks_blindly():
    found = {str(path.relative_to(ROOT.parent)): dangers(path.read_text(encoding="utf-8")) for path in PYTHON}
    assert {path: what for path, what in found.items() if what} == {}
    assert {"recon/cli.py", "scripts/fuzz", "tests/test_layers.py"} <= found.keys()


@pytest.mark.parametrize(
    ("line", "dangerous"),
    [
        ("import pickle", True),
        ("from cloudpickle import loads", True),
        ("eval(text)", True),
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=True)", True),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=flag)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("subprocess.run(line, shell=True)", True),
        ("subprocess.run([program, path])", False),
        ("tarfile.open(path).extractall(folder)", True),
        ("AutoModel.from_pretrained(name, trust_remote_code=True)", True),
        ("re.compile(text)", False),
        ("module.eval()", False),
    ],
)
def test_the_scan_sees_what_is_dangerous(line, dangerous):
    assert bool(dangers(line)) == dangerous


@every_file
def test_every_module_opens_with_its_job(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def calls(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def test_there_is_no_utils():
    assert not [p for p in FILES if p.stem in ("utils", "util", "helpers", "common_utils", "misc")]


# --- the rule itself catches what it should ---


@pytest.mark.parametrize(
    ("where", "line", "allowed"),
    [
        ("fields/a.py", "from recon.kernels.grouped import sort_by_group", True),
        ("fields/a.py", "from recon.fields import base", True),
        ("fields/a.py", "from . import base", True),
        ("fields/a.py", "from recon import runtime, __version__", True),
        ("fields/a.py", "import torch.optim", True),
        ("fields/a.py", "import recon.shapes.load", False),
        ("fields/a.py", "from recon import shapes", False),
        ("fields/a.py", "from ..tasks import shape", False),
        ("fields/a.py", "from .. import training", False),
        ("fields/a.py", "def f():\n    from recon.commands import common", False),
        ("fields/a.py", "import importlib\nimportlib.import_module('recon.cli')", False),
        ("fields/__init__.py", "from .base import Field", True),
        ("fields/__init__.py", "from ..data import find", False),
        ("shapes/a.py", "from recon.surfaces import extract", False),
        ("tasks/shape/a.py", "from ..signal import b", True),
        ("tasks/shape/a.py", "from ...report import page", False),
        ("geometry.py", "from recon.runtime import start", False),
        ("__init__.py", "from recon.fields import FIELDS", False),
        ("__init__.py", "from recon.api import fit_shape", True),
        ("api/a.py", "from recon.commands import common", False),
    ],
)
def test_the_rule_sees_every_kind_of_import(where, line, allowed):
    assert (breaches(ROOT / where, line) == []) == allowed


# --- what starting costs ---


@pytest.mark.parametrize("modules", ["recon", "recon, recon.cli"])
def test_starting_loads_neither_torch_nor_open3d(modules):
    code = f"import sys, json, {modules}; print(json.dumps(sorted(m.partition('.')[0] for m in sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert loaded.isdisjoint({"torch", "open3d", "numpy", "trimesh", "matplotlib"})
