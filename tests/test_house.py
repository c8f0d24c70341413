"""The house keeps its own rules: what imports what, what is described, what the packaging promises."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
FLOORS_NOT_TO_IMPORT = {
    "stackelberg": {"llm", "analysis", "papers", "tests", "benchmarks"},
    "analysis": {"llm", "papers", "tests", "benchmarks"},
    "llm": {"analysis", "papers", "tests", "benchmarks"},
}
SOURCES = [(package, path) for package in FLOORS_NOT_TO_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def fresh_python(code: str) -> str:
    """What a new interpreter with warnings as errors prints when it runs `code` in the checkout."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def top_level_imports(tree: ast.AST) -> Iterator[str]:
    """Every package that a module names in an absolute import, wherever in the file it stands."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name.split(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.split(".")[0]
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module.split(".")[0]


def entry_points() -> list[tuple[str, str]]:
    project = PROJECT["project"]
    groups = {"scripts": project["scripts"], **project["entry-points"]}
    return [(f"{group}:{name}", target) for group, rows in groups.items() for name, target in rows.items()]


ENTRY_POINTS = entry_points()


# --- imports ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("heavy", ["torch", "numba", "matplotlib", "networkx", "transformers", "analysis", "llm"])
def test_importing_stackelberg_does_not_import(heavy: str) -> None:
    assert fresh_python(f"import stackelberg, sys; print({heavy!r} in sys.modules)").strip() == "False"


@pytest.mark.parametrize(("package", "path"), SOURCES, ids=lambda value: getattr(value, "name", value))
def test_arrows_point_down_only(package: str, path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    assert FLOORS_NOT_TO_IMPORT[package].isdisjoint(top_level_imports(tree))


def test_the_walk_sees_every_way_to_import() -> None:
    code = "import llm.a\ndef f():\n    from analysis import b\nimport_module('papers.c')\nfrom .tests import d"
    assert set(top_level_imports(ast.parse(code))) == {"llm", "papers", "analysis"}


# --- descriptions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["stackelberg", "analysis", "llm"])
def test_every_public_name_has_a_docstring_of_its_own(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__
    public = {name: getattr(module, name) for name in module.__all__}  # AttributeError: __all__ promises too much
    assert len(public) == len(module.__all__), "a name stands twice in __all__"
    undescribed = [
        name
        for name, value in public.items()
        if (inspect.isclass(value) or inspect.isroutine(value))
        # a dataclass without a docstring is given its own signature for one
        and (not value.__doc__ or value.__doc__.startswith(f"{name}("))
    ]
    assert undescribed == []


def test_every_python_block_of_the_readme_is_an_example_that_runs() -> None:
    """Only lines behind >>> are run, and a closing fence straight after output would be read as output."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S | re.M)
    for block in blocks:
        lines = block.splitlines()
        assert lines[0].startswith(">>> "), f"this block would not be run; write it with >>>:\n{block}"
        last = lines[-1]
        assert last == "" or last.startswith((">>> ", "...")), f"end this block with an empty line:\n{block}"


# --- packaging -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "target"), ENTRY_POINTS, ids=[name for name, _ in ENTRY_POINTS])
def test_entry_points_lead_somewhere(name: str, target: str) -> None:
    module, _, attribute = target.partition(":")
    assert callable(getattr(importlib.import_module(module), attribute)), name


def test_constraints_pin_every_dependency_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(row for rows in project["optional-dependencies"].values() for row in rows),
    ]
    for requirement in map(Requirement, wanted):
        assert Version(pins[requirement.name]) in requirement.specifier, requirement


def test_every_folder_with_modules_is_packed() -> None:
    """A folder without __init__.py imports here, but would be missing from the wheel."""
    assert [folder for folder in {path.parent for _, path in SOURCES} if not (folder / "__init__.py").exists()] == []


def test_one_version_everywhere() -> None:
    version = PROJECT["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
