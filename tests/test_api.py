"""Conventions of the public functions, enforced: names, documents, options."""

import ast
import importlib
import inspect
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent / "posejax"
SUBPACKAGES = (
    "data", "geometry", "importers", "losses", "metrics", "models", "priors",
    "render", "tasks", "training",
)  # fmt: skip
MATHS = ("geometry", "losses", "metrics", "priors")
MODULES = ("numerics", "skeletons", "templates", "optimizers")


def public(name):
    module = importlib.import_module(f"posejax.{name}")
    # A subpackage lists what it exports; a module has what it defines.
    home = module.__name__ if name in MODULES else "posejax"
    for attribute, value in vars(module).items():
        if attribute.startswith("_") or inspect.ismodule(value):
            continue
        if getattr(value, "__module__", "").startswith(home):
            yield attribute, value


def functions(*names):
    found = []
    for name in names:
        for attribute, value in public(name):
            if inspect.isfunction(value):
                found.append(pytest.param(value, id=f"{name}.{attribute}"))
    return found


@pytest.mark.parametrize("name", SUBPACKAGES + MODULES)
def test_every_subpackage_lists_public_functions_that_are_documented(name):
    members = dict(public(name))
    assert members, f"posejax/{name}/__init__.py lists nothing"
    for attribute, value in members.items():
        if inspect.isfunction(value) or inspect.isclass(value):
            doc = (value.__doc__ or "").strip()
            assert doc, f"posejax.{name}.{attribute} has no docstring"
            first = doc.splitlines()[0]
            assert first.endswith((".", ":")), f"{attribute}: {first!r} is no sentence"


@pytest.mark.parametrize("function", functions(*MATHS))
def test_maths_takes_arrays_first_and_options_by_name(function):
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is not inspect.Parameter.empty:
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, (
                f"{function.__name__}({parameter.name}=...): write `*` before options"
            )
        assert parameter.kind is not inspect.Parameter.VAR_KEYWORD
        assert parameter.annotation is not inspect.Parameter.empty, (
            f"{function.__name__}({parameter.name}) has no type"
        )


@pytest.mark.parametrize("function", functions(*MATHS, *MODULES))
def test_maths_says_what_goes_in_what_comes_out_and_where_it_is_from(function):
    doc = inspect.getdoc(function) or ""
    assert "Args:" in doc or len(inspect.signature(function).parameters) == 0
    assert "Returns:" in doc, f"{function.__name__}: the docstring has no Returns"


@pytest.mark.parametrize("function", functions(*MATHS, *MODULES))
def test_maths_cites_its_source_or_says_that_it_has_none(function):
    doc = inspect.getdoc(function) or ""
    _, found, source = doc.partition("Reference:")
    assert found, f"{function.__name__}: which paper, which equation? Or `None; why.`"
    assert len(source.split("\n\n")[0].split()) > 2, f"{function.__name__}: cite it"


@pytest.mark.parametrize("function", functions(*SUBPACKAGES, *MODULES))
def test_random_keys_are_called_key_and_come_first(function):
    names = list(inspect.signature(function).parameters)
    assert "rng" not in names or function.__module__.startswith("posejax.data"), (
        f"{function.__name__}: a JAX key is called key"
    )
    if "key" in names and "." not in function.__qualname__:
        kind = inspect.signature(function).parameters["key"].kind
        assert names[0] == "key" or kind is inspect.Parameter.KEYWORD_ONLY


def test_no_jit_in_pure_functions():
    for layer in ("geometry", "losses", "metrics", "models"):
        for path in (ROOT / layer).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                for decorator in getattr(node, "decorator_list", []):
                    text = ast.unparse(decorator)
                    assert "jit" not in text, f"{path}: {text}; the caller compiles"


def test_the_exports_name_their_source_line_by_line():
    for name in (*MATHS, "models", "data", "training"):
        text = (ROOT / name / "__init__.py").read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                assert len(node.names) == 1, f"{name}/__init__.py: one name a line"
                assert node.names[0].asname == node.names[0].name
