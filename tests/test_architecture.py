"""Who may import whom, how large a file may be, and what must not exist."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted((ROOT / "posejax").rglob("*.py"))

# A layer may import itself and what its row names; `*` is everything.
LAYERS = {
    "checks": set(),
    "console": set(),
    "typing": set(),
    "numerics": set(),
    "skeletons": set(),
    "templates": {"skeletons", "checks"},
    "geometry": {"numerics", "skeletons", "templates", "checks"},
    "losses": {"geometry", "numerics", "skeletons", "templates", "checks"},
    "metrics": {"geometry", "numerics", "skeletons", "templates", "checks"},
    "models": {"geometry", "numerics", "templates", "checks"},
    "priors": {"geometry", "numerics", "skeletons", "checks"},
    "data": {"skeletons", "templates", "checks"},
    "optimizers": {"checks"},
    "importers": {"models", "templates", "checks"},
    "render": {"skeletons", "templates", "checks"},
    "training": {"typing", "numerics", "checks"},
    "tasks": {
        "checks", "typing", "numerics", "skeletons", "templates", "geometry",
        "losses", "metrics", "models", "priors", "data", "optimizers", "importers",
    },
    "procedures": {"*"},
    "main": {"checks", "console", "procedures"},
}  # fmt: skip


def layer_of(path: pathlib.Path) -> str:
    name = path.relative_to(ROOT / "posejax").parts[0]
    return name.removesuffix(".py")


def imported_layers(path: pathlib.Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "posejax":
            names = [f"posejax.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        found |= {n.split(".")[1] for n in names if n.startswith("posejax.")}
    return found


def imported_packages(path: pathlib.Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_from_the_layers_below_it(path):
    layer = layer_of(path)
    if layer == "__init__":
        assert not imported_layers(path), "importing posejax must import nothing"
        return
    assert layer in LAYERS, f"{path.name}: add the layer {layer!r} to LAYERS"
    allowed = LAYERS[layer] | {layer}
    if "*" in allowed:
        return
    wrong = imported_layers(path) - allowed
    assert not wrong, f"{path} imports {sorted(wrong)}; allowed: {sorted(allowed)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_posejax_imports_neither_the_builders_nor_the_configs(path):
    wrong = imported_packages(path) & {"datasets", "configs", "experiments", "tests"}
    if path.name == "main.py":
        wrong -= {"datasets"}  # to draw the embedded sample
    assert not wrong, f"{path} imports {wrong}: the prepared folder is the interface"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_matplotlib_and_orbax_stay_in_their_one_place(path):
    packages = imported_packages(path)
    if layer_of(path) != "render":
        assert "matplotlib" not in packages, f"{path}: pictures belong to render"
    if path.name != "checkpoints.py":
        assert "orbax" not in packages, f"{path}: orbax belongs to checkpoints.py"
    assert not packages & {"tensorflow", "torch"}, f"{path} needs another framework"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_training_and_main_name_no_system(path):
    if layer_of(path) not in ("training", "main"):
        return
    named = re.findall(
        r"template_warp|se_semgcn|posture_pose|vatl|flow_pose", path.read_text()
    )
    assert not named, f"{path} names {named}: the loop knows only typing.Task"


@pytest.mark.parametrize("layer", ["data", "skeletons", "templates"])
def test_data_code_does_not_import_jax(layer):
    for path in FILES:
        if layer_of(path) == layer:
            assert not imported_packages(path) & {"jax", "flax"}, f"{path} imports jax"


def python_files():
    folders = ("posejax", "configs", "datasets", "experiments", "tests")
    return [p for name in folders for p in sorted((ROOT / name).rglob("*.py"))]


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_small_and_well_named(path):
    text = path.read_text()
    assert text.count("\n") <= 400, f"{path}: more than 400 lines; split it by noun"
    assert path.stem not in {"utils", "helpers", "common", "misc"}, f"{path}: rename it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            doc = ast.get_docstring(node, clean=False) or ""
            lines = node.end_lineno - node.lineno + 1 - doc.count("\n")
            assert lines <= 60, f"{path}:{node.lineno} {node.name}: {lines} lines"


def test_the_command_line_stays_a_composition_root():
    text = (ROOT / "posejax/main.py").read_text()
    assert text.count("\n") <= 120, "main.py: flags to verb, nothing else"
    assert "import numpy" not in text
    assert "import jax" not in text


@pytest.mark.parametrize(
    "name", (ROOT / "tests/slow_tests.txt").read_text().split(), ids=str
)
def test_a_test_that_is_named_as_slow_exists(name):
    path, _, function = name.partition("::")
    assert f"def {function}(" in (ROOT / path).read_text()
