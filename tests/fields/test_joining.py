"""A field from outside: the README's example is a whole one, and packages join through their entry point."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recon.fields import FIELDS, Field, FieldConfig, join_fields

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def example() -> str:
    """The code of the README's "Adding a field"."""
    found = re.search(r"### Adding a field.*?```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def package(tmp_path, example):
    """A folder that holds a tiny installed package with that field, as an installer leaves it."""

    def install(config: str = "SnakeConfig", name: str = "snake", code: str = example) -> Path:
        (tmp_path / "tiny_fields.py").write_text(code)
        about = tmp_path / "tiny_fields-1.0.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-fields\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[recon.fields]\n{name} = tiny_fields:{config}\n")
        return tmp_path

    return install


def test_the_example_of_the_readme_keeps_the_contract(tmp_path, example):
    path = tmp_path / "snake.py"
    path.write_text(example)
    spec = importlib.util.spec_from_file_location("snake", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["snake"] = module
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    config: FieldConfig = module.SnakeConfig(width=12)
    for dims in (1, 2, 3):
        field = config.build(dims, 2).double()
        x = torch.rand(5, dims, dtype=torch.float64, requires_grad=True)
        assert isinstance(field, Field) and torch.autograd.gradcheck(field, (x,))
        assert field.macs() == dims * 12 + 12 * 12 + 12 * 2
    with pytest.raises(ValueError, match="positive width"):
        module.SnakeConfig(width=0)


def test_a_field_of_an_installed_package_is_one_of_ours(package, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(package()), "RECON_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}

    def say(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "recon", *words], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "snake" in say("fields")
    assert "Units of each of the two hidden layers" in say("sdf", "--field", "snake", "--help")


@pytest.mark.parametrize(
    ("config", "name", "code", "warning"),
    [
        ("SnakeConfig", "siren", "class SnakeConfig: ...", "'siren' of tiny-fields is left out: there is one"),
        ("Absent", "snake", "", "'snake' of tiny-fields is left out, for it does not load"),
        ("Broken", "snake", "raise RuntimeError('not today')", "not today"),
        ("SnakeConfig", "snake", "class SnakeConfig: ...", "it is no FieldConfig but SnakeConfig"),
    ],
)
def test_a_package_that_does_not_fit_is_named_and_left_out(package, monkeypatch, *, config, name, code, warning):
    monkeypatch.syspath_prepend(package(config, name, code))
    monkeypatch.delitem(sys.modules, "tiny_fields", raising=False)
    fields = dict(FIELDS)
    with pytest.warns(UserWarning, match=warning):
        join_fields(fields)
    assert fields == FIELDS
