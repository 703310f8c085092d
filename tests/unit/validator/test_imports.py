"""Tier 3: new circular imports, crossed layers, new packages; nothing that was there before."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.policy import Layer, Policy
from app.domain.results import Severity, TierResult, TierStatus
from app.validator.imports import check_imports
from tests.unit.validator.file_sets import subject


def check(before: Mapping[str, str], after: Mapping[str, str | None], **layers: Layer) -> TierResult:
    return check_imports(subject(before, after, policy=Policy(layers=layers)))


def messages(result: TierResult) -> list[str]:
    return [finding.message for finding in result.findings]


def test_imports__nothing_that_is_read_passes() -> None:
    assert check({}, {"README.md": "import x from './y'"}).status is TierStatus.PASS


CIRCLES: dict[str, tuple[dict[str, str], dict[str, str | None], list[str]]] = {
    "typescript": (
        {"src/a.ts": "import { b } from './b';\n", "src/b.ts": "export const b = 1;\n"},
        {"src/b.ts": "import { a } from './a';\nexport const b = 1;\n"},
        ["circular import: src/b.ts → src/a.ts → src/b.ts (line 1)"],
    ),
    "js means ts": (
        {"a.ts": "import './b.js';", "b.ts": ""},
        {"b.ts": "export * from './a.js';"},
        ["circular import: b.ts → a.ts → b.ts (line 1)"],
    ),
    "index, three long": (
        {
            "src/ui/index.ts": "export * from './Card';",
            "src/ui/Card.tsx": "import x from '../lib';",
            "src/lib/index.js": "",
        },
        {"src/lib/index.js": "const ui = require('../ui');"},
        ["circular import: src/lib/index.js → src/ui/index.ts → src/ui/Card.tsx → src/lib/index.js (line 1)"],
    ),
    "paths of an extended tsconfig": (
        {
            "tsconfig.json": '{ // mine\n "extends": "./base", }',
            "base.json": '{"compilerOptions": {"baseUrl": ".", "paths": {"@/*": ["src/*"]}}}',
            "tsconfig.base.json": "{}",
            "src/a.ts": "import '@/b'",
            "src/b.ts": "",
        },
        {"src/b.ts": "import '@/a'"},
        [],  # base.json is no configuration by its name
    ),
    "paths": (
        {
            "tsconfig.json": '{ // mine\n "extends": "./tsconfig.base", }',
            "tsconfig.base.json": '{"extends": "./tsconfig.json", "compilerOptions": {"paths": {"@/*": ["src/*"],},},}',
            "src/a.ts": "import '@/b'",
            "src/b.ts": "",
        },
        {"src/b.ts": "import '@/a'"},
        ["circular import: src/b.ts → src/a.ts → src/b.ts (line 1)"],
    ),
    "paths of a referenced configuration": (
        {
            "tsconfig.json": '{"files": [], "references": [{"path": "./tsconfig.app.json"}]}',
            "tsconfig.app.json": '{"compilerOptions": {"baseUrl": ".", "paths": {"~/*": ["src/*"]}}}',
            "src/a.ts": "import '~/b'",
            "src/b.ts": "",
        },
        {"src/b.ts": "import '~/a'"},
        ["circular import: src/b.ts → src/a.ts → src/b.ts (line 1)"],
    ),
    "base url": (
        {
            "app/tsconfig.json": '{"compilerOptions": {"baseUrl": "src"}}',
            "app/src/a.ts": "import 'b'",
            "app/src/b.ts": "",
        },
        {"app/src/b.ts": "import 'a'"},
        ["circular import: app/src/b.ts → app/src/a.ts → app/src/b.ts (line 1)"],
    ),
    "workspace": (
        {
            "package.json": '{"workspaces": ["packages/*"]}',
            "packages/a/package.json": '{"name": "@me/a", "main": "dist/index.js"}',
            "packages/b/package.json": '{"name": "b"}',
            "packages/a/src/index.ts": "import 'b/deep'",
            "packages/b/src/deep.ts": "",
        },
        {"packages/b/src/deep.ts": "import { x } from '@me/a'"},
        ["circular import: packages/b/src/deep.ts → packages/a/src/index.ts → packages/b/src/deep.ts (line 1)"],
    ),
    "itself": ({"a.ts": ""}, {"a.ts": "import './a'"}, ["circular import: a.ts → a.ts (line 1)"]),
    "python": (
        {"app/__init__.py": "", "app/a.py": "from app.b import x\n", "app/b.py": ""},
        {"app/b.py": "import os\nfrom . import a\n"},
        ["circular import: app/b.py → app/a.py → app/b.py (line 2)"],
    ),
    "python, src layout, package": (
        {"src/p/__init__.py": "from p.a import (\n  x, # why\n)\n", "src/p/a.py": "", "tests/t.py": "import p"},
        {"src/p/a.py": "import p\n"},
        ["circular import: src/p/a.py → src/p/__init__.py → src/p/a.py (line 1)"],
    ),
    "python, several roots": (
        {
            "one/pyproject.toml": "",
            "one/src/x/__init__.py": "",
            "one/src/x/m.py": "import y.n\n",
            "two/setup.py": "",
            "two/y/__init__.py": "",
            "two/y/n.py": "",
        },
        {"two/y/n.py": "try:\n    from x.m import q\nexcept ImportError:\n    q = 1\n"},
        ["circular import: two/y/n.py → one/src/x/m.py → two/y/n.py (line 2)"],
    ),
    "go": (
        {
            "go.mod": "module example.com/m\n",
            "a/a.go": 'package a\nimport (\n  "fmt"\n  "example.com/m/b"\n)\n',
            "b/b.go": "package b\n",
            "b/c.go": "package b\n",
        },
        {"b/c.go": 'package b\nimport "example.com/m/a"\n'},
        ["circular import: b/ → a/ → b/ (line 2)"],
    ),
    "types alone": ({"a.ts": "import './b'", "b.ts": ""}, {"b.ts": "import type { A } from './a'"}, []),
    "types alone, each": ({"a.ts": "import './b'", "b.ts": ""}, {"b.ts": "import { type A } from './a'"}, []),
    "types alone on the way": ({"a.ts": "import type {B} from './b'", "b.ts": ""}, {"b.ts": "import './a'"}, []),
    "in a comment on the way": (
        {"a.ts": "/*\nimport './b'\n*/ `import './b'`", "b.ts": ""},
        {"b.ts": "import './a'"},
        [],
    ),
    "later": (
        {"a.ts": "import './b'", "b.ts": ""},
        {"b.ts": "async () => { await import('./a'); require('./a') }"},
        [],
    ),
    "later on the way": ({"a.js": "function f() { require('./b') }", "b.js": ""}, {"b.js": "import './a'"}, []),
    "python later": ({"a.py": "import b\n", "b.py": ""}, {"b.py": "def f():\n    import a\n"}, []),
    "python later on the way": ({"a.py": "def f():\n    import b\n", "b.py": ""}, {"b.py": "import a\n"}, []),
    "python types": (
        {"a.py": "import b\n", "b.py": ""},
        {"b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\n"},
        [],
    ),
    "python docstring on the way": ({"a.py": '"""\nimport b\n"""\n', "b.py": ""}, {"b.py": "import a\n"}, []),
    "it was there": (
        {"a.ts": "import './b'", "b.ts": "import './a'"},
        {"a.ts": "import './b'; export const x = 1"},
        [],
    ),
    "it was there, moved": (
        {"a.ts": "import './b';\nexport const one = 1;\n", "b.ts": "import './a';\n"},
        {"a.ts": None, "c.ts": "import './b';\nexport const one = 1;\n", "b.ts": "import './c';\n"},
        [],
    ),
    "a stronger import": (
        {"a.ts": "import './b'", "b.ts": "import type {A} from './a'"},
        {"b.ts": "import {A} from './a'"},
        ["circular import: b.ts → a.ts → b.ts (line 1)"],
    ),
    "two new files": (
        {},
        {"a.ts": "import './b'", "b.ts": "import './a'"},
        ["circular import: a.ts → b.ts → a.ts (line 1)"],
    ),
}


@pytest.mark.parametrize("name", CIRCLES)
def test_imports__circles(name: str) -> None:
    before, after, expected = CIRCLES[name]
    result = check(before, after)
    assert messages(result) == expected
    assert result.status is (TierStatus.FAIL if expected else TierStatus.PASS)


UI = Layer(paths=("src/ui/**",), may_import=("domain",))
DOMAIN = Layer(paths=("src/domain/**",))


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("src/domain/item.ts", "import type { B } from '../ui/b'", "layer domain"),
        ("src/domain/item.ts", "export async function f() { await import('../ui/b') }", "layer domain"),
        ("src/ui/a.ts", "import '../domain/item'", ""),
        ("src/ui/a.ts", "import './b'", ""),
        ("src/other.ts", "import './ui/b'", ""),
        ("src/domain/item.ts", "import '../other'", ""),
    ],
)
def test_imports__layers(path: str, text: str, expected: str) -> None:
    before = {"src/domain/item.ts": "", "src/ui/a.ts": "", "src/ui/b.ts": "", "src/other.ts": ""}
    result = check(before, {path: text}, ui=UI, domain=DOMAIN)
    assert expected in "".join(messages(result))
    assert result.status is (TierStatus.FAIL if expected else TierStatus.PASS)


def test_imports__a_crossed_layer_that_was_there_is_not_reported() -> None:
    before = {"src/domain/item.ts": "import '../ui/b'", "src/ui/b.ts": ""}
    after = {"src/domain/item.ts": "import '../ui/b';\nexport const x = 1"}
    assert check(before, after, ui=UI, domain=DOMAIN).status is TierStatus.PASS


def test_imports__a_file_that_moves_into_a_layer_is_judged_whole() -> None:
    text = "import '../ui/b';\nexport const x = 1\n"
    before = {"src/lib/item.ts": text, "src/ui/b.ts": ""}
    result = check(before, {"src/lib/item.ts": None, "src/domain/item.ts": text}, ui=UI, domain=DOMAIN)
    assert messages(result) == ["src/domain/item.ts (layer domain) imports src/ui/b.ts (layer ui) in line 1"]


def test_imports__go_packages_have_layers() -> None:
    before = {"go.mod": "module m.org/x\n", "src/ui/b.go": "package ui\n", "src/domain/a.go": "package domain\n"}
    result = check(before, {"src/domain/a.go": 'package domain\nimport "m.org/x/src/ui"\n'}, ui=UI, domain=DOMAIN)
    assert "imports src/ui/ (layer ui)" in messages(result)[0]


ERROR, WARNING = Severity.ERROR, Severity.WARNING


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"package.json": "{}"}, {"a.ts": "import x from 'left-pad'"}, ERROR),
        ({"package.json": "{}"}, {"a.ts": "import x from '@me/left/deep'"}, ERROR),
        ({"package.json": '{"dependencies": {"left-pad": "1"}}'}, {"a.ts": "import x from 'left-pad/lib'"}, None),
        ({"package.json": '{"devDependencies": {"@types/geo": "1"}}'}, {"a.ts": "import type x from 'geo'"}, None),
        ({"package.json": "{}"}, {"package.json": '{"dependencies": {"x": "1"}}', "a.ts": "import 'x'"}, WARNING),
        ({"package.json": "{}", "b.ts": "import 'x'"}, {"a.ts": "import 'x'"}, None),
        ({"package.json": "{}", "b.ts": "// import nothing from x"}, {"a.ts": "import 'x'"}, ERROR),
        ({"package.json": '{"dependencies": {"x": "1"}}'}, {"pkg/package.json": "{}", "pkg/a.ts": "import 'x'"}, None),
        ({"package.json": "{}"}, {"a.ts": "import 'fs'; import 'node:test'; import '@/x'; import './gone'"}, None),
        ({"package.json": "{}"}, {"a.ts": "import 'https://x.org/y'; import '#x'; import 'fs/promises'"}, None),
        ({}, {"a.ts": "import 'x'"}, WARNING),
        ({"pyproject.toml": "[project]\ndependencies = []\n"}, {"a.py": "import requests\n"}, ERROR),
        ({"pyproject.toml": "[project]\ndependencies = ['Requests[x]>=2']\n"}, {"a.py": "import requests.y\n"}, None),
        ({"requirements.txt": "-r x\nPyYAML==6 # yes\n"}, {"a.py": "import yaml\n"}, None),
        ({"requirements/dev.in": "x\n", "requirements.txt": "google-cloud-storage\n"}, {"a.py": "import google.cloud.storage"}, None),  # noqa: E501
        ({"setup.py": "setup(install_requires=['attrs>=1'])"}, {"a.py": "import attr\n"}, None),
        ({"Pipfile": "[packages]\nflask = '*'\n"}, {"a.py": "from flask import Flask\n"}, None),
        ({"pyproject.toml": "[tool.poetry.group.dev.dependencies]\nrich = '1'\n"}, {"a.py": "import rich\n"}, None),
        ({"pyproject.toml": "[dependency-groups]\ndev = ['rich']\n"}, {"a.py": "import rich\n"}, None),
        ({"requirements.txt": ""}, {"requirements.txt": "odd-name\n", "a.py": "import other\n"}, WARNING),
        ({"requirements.txt": "x\n", "b.py": "import other.sub\n"}, {"a.py": "import other\n"}, None),
        ({"requirements.txt": "x\n"}, {"a.py": "import os, sys, distutils\nfrom . import b\n"}, None),
        ({"requirements.txt": "x\n", "lib/helpers.py": ""}, {"a.py": "import helpers\n"}, None),
        ({"requirements.txt": "flask\n"}, {"a.py": "import requests\n"}, WARNING),
        ({"requirements.txt": "google-cloud-storage\n"}, {"a.py": "from google.cloud import storage\n"}, None),
        ({"requirements.txt": "google-cloud-storage\n"}, {"a.py": "import google.cloud.bigquery\n"}, WARNING),
        ({"requirements.txt": "google-api-python-client\n"}, {"a.py": "from googleapiclient import discovery\n"}, None),
        ({"requirements.txt": "tensorflow-cpu==2\n"}, {"a.py": "import tensorflow as tf\n"}, None),
        ({"requirements.txt": "pycryptodome\n"}, {"a.py": "from Crypto.Cipher import AES\n"}, None),
        ({"requirements.txt": "opentelemetry-api\n"}, {"a.py": "from opentelemetry import trace\n"}, None),
        ({"requirements.txt": "requests-mock\n"}, {"a.py": "import requests\n"}, WARNING),
        ({"package.json": '{"dependencies": {"next": "14"}}'}, {"a.ts": "import 'server-only'"}, WARNING),
        ({"package.json": "{}"}, {"a.ts": "import 'server-only'"}, ERROR),
        ({"package.json": "{}", "package-lock.json": '"node_modules/csstype": {'}, {"a.ts": "import 'csstype'"}, WARNING),  # noqa: E501
        ({"package.json": "{}", "yarn.lock": "csstype@^3.0:\n  resolved x/csstype/-/csstype-3.tgz"}, {"a.ts": "import 'csstype'"}, WARNING),  # noqa: E501
        ({"package.json": "{}", "pnpm-lock.yaml": "  '@a/b@1.0.0':"}, {"a.ts": "import '@a/b'"}, WARNING),
        ({"package.json": "{}", "b/package.json": '{"dependencies": {"csstype": "1"}}'}, {"a.ts": "import 'csstype'"}, WARNING),  # noqa: E501
        ({"package.json": "{}"}, {"package-lock.json": '"node_modules/csstype": {', "a.ts": "import 'csstype'"}, ERROR),
        ({"go.mod": "module a.b/c\n"}, {"x.go": 'package c\nimport "github.com/x/y/z"\n'}, ERROR),
        ({"go.mod": "module a.b/c\nrequire github.com/x/y v1.2.3\n"}, {"x.go": 'package c\nimport "github.com/x/y/z"\n'}, None),  # noqa: E501
        ({"go.mod": "module a.b/c\nrequire (\n\tgithub.com/x/y v1.2.3\n)\n"}, {"x.go": 'package c\nimport "github.com/x/y"\n'}, None),  # noqa: E501
        ({"go.mod": "module a.b/c\n"}, {"x.go": 'package c\nimport ("fmt"; "net/http"; "a.b/c/none")\n'}, None),
    ],
)  # fmt: skip
def test_imports__new_dependencies(
    before: dict[str, str], after: dict[str, str | None], expected: Severity | None
) -> None:
    result = check(before, after)
    assert [finding.severity for finding in result.findings] == ([expected] if expected else []), messages(result)
    assert all("circular" not in message for message in messages(result))


nodes = st.integers(0, 9)
graphs = st.frozensets(st.tuples(nodes, nodes), max_size=25)


def reaches(edges: frozenset[tuple[int, int]], start: int, end: int) -> bool:
    seen = {start}
    for _ in range(10):
        seen |= {b for a, b in edges if a in seen}
    return end in seen


def typescript(edges: frozenset[tuple[int, int]]) -> dict[str, str]:
    return {f"f{n}.ts": "".join(f"import './f{b}';\n" for a, b in sorted(edges) if a == n) for n in range(10)}


def python(edges: frozenset[tuple[int, int]]) -> dict[str, str]:
    return {f"p/f{n}.py": "".join(f"from . import f{b}\n" for a, b in sorted(edges) if a == n) for n in range(10)}


@settings(max_examples=150, deadline=None)
@given(edges=graphs, start=nodes, end=nodes, write=st.sampled_from([typescript, python]))
def test_imports__a_new_edge_is_reported_exactly_when_there_is_a_way_back(
    edges: frozenset[tuple[int, int]],
    start: int,
    end: int,
    write: Callable[[frozenset[tuple[int, int]]], dict[str, str]],
) -> None:
    before = write(edges)
    after = write(edges | {(start, end)})
    result = check(before, after)
    expected = (start, end) not in edges and reaches(edges, end, start)
    assert bool(result.findings) is expected
    if expected:
        assert "circular" in messages(result)[0]


@pytest.mark.parametrize("path", ["x.ts", "x.tsx", "x.js", "x.py", "x.go"])
@pytest.mark.parametrize(
    "text",
    [
        "(" * 900_000,
        "a<" * 140_000,
        "import/*" * 120_000,
        "`${" * 100_000,
        "from " * 100_000,
        "import (" * 30_000,
        "if x:\n " * 40_000,
        "\udcff\udcfeimport './y'\x00",
        "import '../../../../../etc/passwd'",
        "from ........ import x",
        'import "../../x"',
        "x" * 1_500_000,
    ],
    ids=range(12),
)
def test_imports__hostile_files_end_in_a_verdict(path: str, text: str) -> None:
    before = {
        "package.json": "[" * 100_000,
        "tsconfig.json": '{"extends": "./tsconfig.json"}',
        "pyproject.toml": "[" * 9999,
    }
    assert check({**before, "y.ts": ""}, {path: text}).status in TierStatus


@given(st.text(max_size=300), st.sampled_from(["x.ts", "x.tsx", "x.js", "x.py", "x.go", "package.json", "go.mod"]))
@settings(deadline=None)
def test_imports__any_text_gives_a_verdict(text: str, path: str) -> None:
    assert check({"a.ts": "import './x'", "b.py": "import x"}, {path: text, "c.ts": "import 'y'"}).status in TierStatus
