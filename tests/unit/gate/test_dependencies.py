"""Missing dependencies: what a repository declares, what it has itself, and what a failure names."""

from __future__ import annotations

import pytest

from app.domain.results import Diagnostic
from app.gate.dependencies import declared, local
from app.gate.diagnostics import missing_dependency

FILES = {
    "pyproject.toml": "[project]\ndependencies = ['PyYAML>=6', 'typing_extensions']\n"
    "[dependency-groups]\ndev = ['pytest']\n",
    "requirements.txt": "httpx[http2]==1 ; python_version > '3'\n-r other.txt\n# comment\n",
    "package.json": '{"name": "shop", "dependencies": {"react": "19"}, "workspaces": ["packages/*"]}',
    "packages/ui/package.json": '{"name": "@shop/ui", "devDependencies": {"vite": "6"}}',
    "tsconfig.json": '{ /* c */ "compilerOptions": {"paths": {"@lib/*": ["./src/lib/*"], "helpers": ["x"]}, } }',
    "src/shop/basket.py": "",
    "src/components/Button.tsx": "",
}


def read(path: str) -> bytes | None:
    text = FILES.get(path)
    return text.encode() if text is not None else None


def test_declared__names_of_every_manifest() -> None:
    assert declared(sorted(FILES), read) == {
        *("pyyaml", "typing-extensions", "pytest", "httpx"),
        *("react", "vite"),
    }


def test_local__files_directories_aliases_and_workspaces() -> None:
    names = local(sorted(FILES), read)
    assert {"shop", "basket", "components", "Button", "@lib", "helpers", "@shop/ui"} <= names
    assert "" not in names


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("ModuleNotFoundError: No module named 'requests'", "requests"),
        ("ModuleNotFoundError: No module named 'requests.adapters'", "requests"),
        ("ModuleNotFoundError: No module named 'yaml'", None),
        ("ModuleNotFoundError: No module named 'typing_extensions'", None),
        ("ModuleNotFoundError: No module named 'basket'", None),
        ("ModuleNotFoundError: No module named 'shop.orders'", None),
        ("ModuleNotFoundError: No module named 'distutils'", None),
        ("ModuleNotFoundError: No module named 'os.nothing'", None),
        ("a.ts(1,1): error TS2307: Cannot find module 'left-pad' or its corresponding type declarations.", "left-pad"),
        ("Cannot find module 'lodash/fp' or its corresponding type declarations.", "lodash"),
        ("Cannot find module '@tanstack/query/x'", "@tanstack/query"),
        ("Cannot find module './basket'", None),
        ("Cannot find module '/x/y.js'", None),
        ("Cannot find module '@/components/Button'", None),
        ("Cannot find module '~/x'", None),
        ("Cannot find module '#internal'", None),
        ("Cannot find module '@lib/x'", None),
        ("Cannot find module '@shop/ui/button'", None),
        ("Cannot find module 'components/Card'", None),
        ("Cannot find module 'node:nothing'", None),
        ("Cannot find module 'fs/promises'", None),
        ("Cannot find module 'react/jsx-runtime'", None),
        ("Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod' imported from /t/a.js", "zod"),
        ('Failed to resolve import "zod" from "src/a.ts"', "zod"),
        ("Error: Failed to load url zod (resolved id: zod) in /t/a.js. Does the file exist?", "zod"),
        ("AssertionError: 1 != 2", None),
        ("", None),
    ],
)
def test_missing_dependency__only_what_is_surely_missing(output: str, expected: str | None) -> None:
    paths = sorted(FILES)
    assert missing_dependency((), output, declared(paths, read), local(paths, read)) == expected


def test_missing_dependency__is_read_from_diagnostics_too() -> None:
    diagnostic = Diagnostic(path="a.py", line=1, message="ModuleNotFoundError: No module named 'numpy'")
    assert missing_dependency((diagnostic,), "", frozenset(), frozenset()) == "numpy"
