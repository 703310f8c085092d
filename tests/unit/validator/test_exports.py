"""Tier 5, exports: what is gone or takes other arguments, and is still used by files outside of the change."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.results import Severity
from app.validator.exports import broken_uses
from tests.unit.validator.file_sets import subject

Case = tuple[dict[str, str], dict[str, str | None], list[str]]

CASES: dict[str, Case] = {
    "removed": (
        {"a.ts": "export function f() {}\nexport const g = 1", "b.ts": "\nimport { f, g } from './a'"},
        {"a.ts": "export const g = 1"},
        ["f of a.ts is no longer exported, and is used in b.ts:2"],
    ),
    "renamed, four users": (
        {"lib/a.ts": "export class A {}", **{f"u{n}.tsx": "import { A as B } from './lib/a'" for n in range(4)}},
        {"lib/a.ts": "export class Z {}"},
        ["A of lib/a.ts is no longer exported, and is used in u0.tsx:1, u1.tsx:1, u2.tsx:1 and 1 more"],
    ),
    "removed without users": ({"a.ts": "export const f = 1", "b.ts": "import './a'"}, {"a.ts": ""}, []),
    "its user is changed too": (
        {"a.ts": "export const f = 1", "b.ts": "import { f } from './a'"},
        {"a.ts": "", "b.ts": ""},
        [],
    ),
    "default": (
        {"src/Card.tsx": "export default function Card() {}", "src/App.tsx": "import Any from './Card'"},
        {"src/Card.tsx": "export function Card() {}"},
        ["default of src/Card.tsx is no longer exported, and is used in src/App.tsx:1"],
    ),
    "a type": (
        {"a.ts": "export interface I {}\nexport type T = 1", "b.ts": "import type { I, T } from './a'"},
        {"a.ts": "export type T = 1"},
        ["I of a.ts is no longer exported, and is used in b.ts:1"],
    ),
    "namespace": (
        {"a.ts": "export const f = 1", "b.ts": "import * as a from './a'\nconsole.log(a.f, a.g)"},
        {"a.ts": "export const g = 1"},
        ["f of a.ts is no longer exported, and is used in b.ts:2"],
    ),
    "passed on by name": (
        {"a.ts": "export const f = 1", "index.ts": "export { f } from './a'"},
        {"a.ts": ""},
        ["f of a.ts is no longer exported, and is used in index.ts:1"],
    ),
    "through a barrel": (
        {
            "lib/a.ts": "export const f = 1",
            "lib/index.ts": "export * from './a'",
            "app/b.ts": "import { f } from '../lib'",
            "app/c.ts": "import { x } from '../lib'",
        },
        {"lib/a.ts": "const f = 1"},
        ["f of lib/a.ts is no longer exported, and is used in app/b.ts:1"],
    ),
    "a barrel that has it from elsewhere": (
        {
            "lib/a.ts": "export const f = 1",
            "lib/b.ts": "export const f = 2",
            "lib/index.ts": "export * from './a'; export { f } from './b'",
            "app/b.ts": "import { f } from '../lib'",
        },
        {"lib/a.ts": ""},
        [],
    ),
    "deleted": (
        {"a.ts": "", "b.ts": "import './a'", "c.ts": "async () => await import('./a')"},
        {"a.ts": None},
        ["a.ts is gone, and is used in b.ts:1, c.ts:1"],
    ),
    "moved": (
        {"a.ts": "export const f = 1", "b.ts": "import { f } from './a'"},
        {"a.ts": None, "lib/a.ts": "export const f = 1"},
        ["a.ts is gone, and is used in b.ts:1"],
    ),
    "moved to where its importers find it": (
        {"a.ts": "export const f = 1", "b.ts": "import { f } from './a'"},
        {"a.ts": None, "a/index.ts": "export const f = 1"},
        [],
    ),
    "moved, and a name short": (
        {"a.ts": "export const f = 1, g = 2", "b.ts": "import { f, g } from './a'"},
        {"a.ts": None, "a/index.ts": "export const f = 1"},
        ["g of a.ts is no longer exported, and is used in b.ts:1"],
    ),
    "an index": (
        {"lib/index.ts": "export const f = 1", "lib/x.ts": "import { f } from '.'", "b.ts": "import { f } from './lib'"},  # noqa: E501
        {"lib/index.ts": "export const g = 1"},
        ["f of lib/index.ts is no longer exported, and is used in b.ts:1, lib/x.ts:1"],
    ),
    "alias": (
        {
            "tsconfig.json": '{"compilerOptions": {"paths": {"core": ["./src/main.ts"], "@/*": ["./src/*"]}}}',
            "src/main.ts": "export const f = 1",
            "b.ts": "import { f } from 'core'",
            "c.ts": "import { f } from '@/main'",
        },
        {"src/main.ts": ""},
        ["f of src/main.ts is no longer exported, and is used in b.ts:1, c.ts:1"],
    ),
    "base url": (
        {"tsconfig.json": '{"compilerOptions": {"baseUrl": "src"}}', "src/m.ts": "export const f = 1", "b.ts": "import {f} from 'm'"},  # noqa: E501
        {"src/m.ts": ""},
        ["f of src/m.ts is no longer exported, and is used in b.ts:1"],
    ),
    "arguments": (
        {
            "a.ts": "export function f(a: number) {}\nexport const g = (a, b?) => 1",
            "b.ts": "import { f, g } from './a'\nf(1)\nf(...x)\nconst h = f\ng(1)\ng(1, 2)",
            "c.ts": "import * as a from './a'\na.f(1)",
        },
        {"a.ts": "export function f(a: number, b: string) {}\nexport const g = (a) => 1"},
        [
            "f of a.ts now takes 2 arguments, and is used in b.ts:2, c.ts:2",
            "g of a.ts now takes 1 arguments, and is used in b.ts:6",
        ],
    ),
    "an optional argument": (
        {"a.ts": "export function f(a) {}", "b.ts": "import { f } from './a'\nf(1)"},
        {"a.ts": "export function f(a, b = 2, ...c) {}"},
        [],
    ),
    "overloads": (
        {"a.ts": "export function f(a: number) {}", "b.ts": "import { f } from './a'\nf(1)"},
        {"a.ts": "export function f(a: number): void;\nexport function f(a: any, b: any) {}"},
        [],
    ),
    "common js": (
        {"a.js": "exports.f = 1; exports.g = 2", "b.js": "const { f } = require('./a')", "c.js": "const a = require('./a')\na.f()"},  # noqa: E501
        {"a.js": "exports.g = 2"},
        ["f of a.js is no longer exported, and is used in b.js:1, c.js:2"],
    ),
    "what cannot be seen": (
        {"a.js": "exports.f = 1", "b.js": "const { f } = require('./a')"},
        {"a.js": "module.exports = make()"},
        [],
    ),
    "python": (
        {
            "app/__init__.py": "",
            "app/a.py": "def f(): pass\nX: int = 1\nclass K: pass\n",
            "app/b.py": "from .a import f, X\n",
            "run.py": "import app.a\nfrom app import a as z\napp.a.K()\nz.K()\n",
        },
        {"app/a.py": "X: int = 1\n"},
        [
            "K of app/a.py is no longer exported, and is used in run.py:3, run.py:4",
            "f of app/a.py is no longer exported, and is used in app/b.py:1",
        ],
    ),
    "python, module deleted": (
        {"p/__init__.py": "", "p/a.py": "", "b.py": "from p import a\n", "c.py": "def f():\n    import p.a\n"},
        {"p/a.py": None},
        ["p/a.py is gone, and is used in b.py:1, c.py:2"],
    ),
    "python, module became a package": (
        {"p/__init__.py": "", "p/a.py": "x = 1\n", "b.py": "from p.a import x\n", "c.py": "from p import a\na.x\n"},
        {"p/a.py": None, "p/a/__init__.py": "from .inner import x\n", "p/a/inner.py": "x = 1\n"},
        [],
    ),
    "python, passed on": (
        {
            "p/__init__.py": "from .a import *\n",
            "p/a.py": "x = 1\ny = 2\n",
            "b.py": "from p import x, y\n",
        },
        {"p/a.py": "y = 2\n"},
        ["x of p/a.py is no longer exported, and is used in b.py:1"],
    ),
    "python, arguments": (
        {"a.py": "def f(x): pass\n", "b.py": "from a import f\nf(1)\nf(*x)\nf(1, y=2)\n"},
        {"a.py": "def f(x, y): pass\n"},
        ["f of a.py now takes 2 arguments, and is used in b.py:2"],
    ),
    "python, decorated": (
        {"a.py": "@d\ndef f(x): pass\n", "b.py": "from a import f\nf(1)\n"},
        {"a.py": "@d\ndef f(x, y): pass\n"},
        [],
    ),
    "python, still bound": (
        {"a.py": "def f(): pass\n", "b.py": "from a import f\n"},
        {"a.py": "try:\n    from z import f\nexcept ImportError:\n    f = None\n"},
        [],
    ),
    "go": (
        {
            "go.mod": "module m.org/x\n",
            "lib/a.go": "package lib\nfunc F(a, b int) {}\nfunc G() {}\nfunc h() {}\ntype T struct{}\n",
            "lib/b.go": "package lib\nconst C = 1\n",
            "cmd/main.go": 'package main\nimport "m.org/x/lib"\nfunc f() {\n lib.F(1, 2)\n lib.G()\n var t lib.T\n}\n',
        },
        {"lib/a.go": "package lib\nfunc F(a int) {}\nfunc G2() {}\n"},
        [
            "F of lib/ now takes 1 arguments, and is used in cmd/main.go:4",
            "G of lib/ is no longer exported, and is used in cmd/main.go:5",
            "T of lib/ is no longer exported, and is used in cmd/main.go:6",
        ],
    ),
    "go, moved within its package": (
        {
            "go.mod": "module m.org/x\n",
            "lib/a.go": "package lib\nfunc F() {}\n",
            "main.go": 'package main\nimport l "m.org/x/lib"\nfunc main() { l.F() }\n',
        },
        {"lib/a.go": None, "lib/b.go": "package lib\nfunc F() {}\n"},
        [],
    ),
    "go, package deleted": (
        {"go.mod": "module m.org/x\n", "lib/a.go": "package lib\n", "main.go": 'package main\nimport "m.org/x/lib"\n'},
        {"lib/a.go": None},
        ["lib/ is gone, and is used in main.go:2"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_broken_uses__cases(name: str) -> None:
    before, after, expected = CASES[name]
    findings = broken_uses(subject(before, after))
    assert [finding.message for finding in findings] == expected
    assert {finding.severity for finding in findings} <= {Severity.ERROR}


def test_broken_uses__many_findings_are_cut() -> None:
    names = [f"n{number}" for number in range(80)]
    before = {
        "a.ts": "".join(f"export const {n} = 1;\n" for n in names),
        "b.ts": f"import {{ {', '.join(names)} }} from './a'",
    }
    assert len(broken_uses(subject(before, {"a.ts": ""}))) == 50


@pytest.mark.parametrize("suffix", ["ts", "js", "py", "go"])
@pytest.mark.parametrize(
    "text", ["from " + " " * 400_000, "import" + " " * 400_000, "(" * 400_000, "export " * 50_000], ids=range(4)
)
def test_broken_uses__hostile_users_end_in_an_answer(suffix: str, text: str) -> None:
    before = {f"a.{suffix}": "", f"b.{suffix}": f"{text}\n/a' a './a'", "go.mod": "module a"}
    assert broken_uses(subject(before, {f"a.{suffix}": None})) is not None


@settings(deadline=None)
@given(st.text(max_size=200), st.text(max_size=200), st.sampled_from(["ts", "tsx", "js", "py", "go"]))
def test_broken_uses__any_text_is_answered(old: str, new: str, suffix: str) -> None:
    user = {"ts": "import * as a from './a'; a.f()", "py": "from a import f\nimport a\n"}.get(suffix, "import './a'")
    assert broken_uses(subject({f"a.{suffix}": old, f"b.{suffix}": user}, {f"a.{suffix}": new})) is not None
