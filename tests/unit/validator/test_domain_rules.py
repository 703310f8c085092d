"""Tier 4: each rule with what it finds and what it leaves alone, and what counts as added."""

from __future__ import annotations

import pytest

from app.domain.results import Severity, Tier, TierResult, TierStatus
from app.validator.domain import check_domain
from app.validator.findings import MOST_FINDINGS
from app.validator.rules.table import RULES
from tests.unit.validator.file_sets import subject


def judged(path: str, text: str, domain: str = "general") -> TierResult:
    return check_domain(subject({}, {path: text}, domain=domain))


def found(path: str, text: str, domain: str = "general") -> dict[str, Severity]:
    """The names of the rules that a new file breaks, with their severity."""
    by_message = {rule.message: rule.name for rule in RULES if path.endswith(".py") or "python" not in rule.name}
    return {
        by_message[f.message.partition(": ")[2].partition(": ")[2]]: f.severity
        for f in judged(path, text, domain).findings
    }


BROKEN = [
    ("any", "a.ts", "let x: any;"),
    ("any", "a.tsx", "const y = z as any;"),
    ("any", "a.ts", "const y = <any>z;"),
    ("any", "a.ts", "type T = Record<string, any[]>;"),
    ("conflict-marker", "a.txt", "one\n<<<<<<< ours\ntwo\n"),
    ("built-sql", "a.ts", "db.query(`SELECT * FROM t WHERE id = ${id}`)"),
    ("built-sql", "a.ts", "const q = 'DELETE FROM t WHERE id = ' + id;"),
    ("built-sql", "a.ts", "const q = 'SELECT a ' + 'FROM t WHERE id = ' + id;"),
    ("built-sql", "a.py", 'q = f"SELECT a FROM t WHERE id = {ident}"'),
    ("built-sql", "a.py", 'q = "SELECT a FROM t WHERE id = {}".format(ident)'),
    ("built-sql", "a.py", "q = \"UPDATE t SET a = '%s'\" % value"),
    ("built-sql", "a.py", 'q = f"""\n  insert into {table} values (1)\n"""'),
    ("built-sql", "a.go", 'package a\nvar q = fmt.Sprintf("SELECT a FROM t WHERE id = %s", id)'),
    ("built-sql", "a.go", 'package a\nfunc f() { db.Query("SELECT a FROM t WHERE id = " + id) }'),
    ("unrepeatable-migration", "migrations/1.sql", "CREATE TABLE a (id int);"),
    ("unrepeatable-migration", "1.sql", "create unique index concurrently a_i on a (id);"),
    ("unrepeatable-migration", "1.sql", "ALTER TABLE a ADD COLUMN b text;"),
    ("unrepeatable-migration", "1.sql", "DROP TABLE a;"),
    ("unrepeatable-migration", "1.sql", "CREATE POLICY p ON a;"),
    ("table-without-rls", "supabase/migrations/1.sql", "create table if not exists public.a (id int);"),
    ("query-in-loop", "a.ts", "for (const i of xs) { await supabase.from('a').select('b').eq('i', i); }"),
    (
        "query-in-loop",
        "a.ts",
        "await Promise.all(xs.map(async (i) => { await prisma.user.findUnique({ where: { i } }); }));",
    ),
    ("query-in-loop", "a.py", "for i in xs:\n    cursor.execute('select 1')\n"),
    ("query-in-loop", "a.py", "ys = [User.objects.get(id=i) for i in xs]\n"),
    ("query-in-loop", "a.go", "package a\nfunc f() { for _, i := range xs { db.QueryRow(q, i) } }"),
    ("select-star", "a.ts", "supabase.from('a').select('*')"),
    ("whole-library", "a.ts", "import _ from 'lodash';"),
    ("whole-library", "a.ts", "import { debounce } from 'lodash';"),
    ("whole-library", "a.js", "const m = require('moment');"),
    ("whole-library", "a.tsx", "import * as Icons from 'lucide-react';"),
    ("raw-html", "a.tsx", "const a = <div dangerouslySetInnerHTML={{ __html: x }} />;"),
    ("raw-html", "a.js", "element.innerHTML = text;"),
    ("code-from-text", "a.js", "eval(text);"),
    ("code-from-text", "a.py", "eval(text)"),
    ("shell", "a.py", "subprocess.run(text, shell=True)"),
    ("shell-template", "a.ts", "execSync(`rm -rf ${directory}`);"),
    ("unsafe-loading", "a.py", "yaml.load(text)"),
    ("unsafe-loading", "a.py", "pickle.loads(data)"),
    ("unverified-tls", "a.py", "requests.get(url, verify=False)"),
    ("unverified-tls", "a.ts", "new Agent({ rejectUnauthorized: false })"),
    ("unverified-tls", "a.go", "package a\nvar c = tls.Config{InsecureSkipVerify: true}"),
    ("debugging", "src/a.ts", "console.log(x);"),
    ("debugging", "src/a.ts", "debugger;"),
    ("debugging-python", "src/a.py", "print(x)"),
    ("debugging-python", "src/a.py", "breakpoint()"),
]


@pytest.mark.parametrize(("name", "path", "text"), BROKEN)
def test_domain__a_rule_finds(name: str, path: str, text: str) -> None:
    domain = (
        "data" if name in ("query-in-loop", "select-star") else "performance" if name == "whole-library" else "general"
    )
    assert name in found(path, text, domain)


KEPT = [
    ("any", "a.ts", "// : any\nconst any = 'as any'; const company: Company = x;"),
    ("conflict-marker", "a.md", "======\nTitle <<<<<<< x\n"),
    ("built-sql", "a.ts", "db.query('SELECT * FROM t WHERE id = $1', [id])"),
    ("built-sql", "a.ts", "const rows = await sql`SELECT * FROM t WHERE id = ${id}`;"),
    ("built-sql", "a.ts", "db.query(`SELECT a FROM ${TABLES.ITEMS} WHERE id = $1`)"),
    ("built-sql", "a.ts", "const text = `Select ${name} from the list`;"),
    ("built-sql", "a.ts", "const q = 'SELECT a ' + 'FROM t WHERE id = $1';"),
    ("built-sql", "a.py", 'cursor.execute("SELECT a FROM t WHERE id = %s", (ident,))'),
    ("built-sql", "a.py", '# f"SELECT a FROM t WHERE id = {ident}"'),
    ("built-sql", "a.py", 'q = f"SELECT a FROM {TABLE} WHERE id = %s"'),
    ("built-sql", "a.go", 'package a\nfunc f() { db.Query("SELECT a FROM t WHERE id = $1", id) }'),
    ("unrepeatable-migration", "1.sql", "CREATE TABLE IF NOT EXISTS a (id int); CREATE OR REPLACE VIEW v AS SELECT 1;"),
    ("unrepeatable-migration", "1.sql", "DROP POLICY IF EXISTS p ON a; CREATE POLICY p ON a;"),
    ("unrepeatable-migration", "1.sql", "ALTER TABLE a ADD COLUMN IF NOT EXISTS b text; DROP TABLE IF EXISTS c;"),
    (
        "unrepeatable-migration",
        "1.sql",
        "-- CREATE TABLE a\n/* DROP TABLE a */ INSERT INTO a VALUES ('CREATE TABLE a');",
    ),
    ("unrepeatable-migration", "1.sql", "DO $$ BEGIN -- don't\n CREATE TABLE a (id int); END $$;"),
    ("unrepeatable-migration", "prisma/migrations/1/migration.sql", "CREATE TABLE a (id int);"),
    ("table-without-rls", "supabase/1.sql", "create table a (id int); alter table public.a enable row level security;"),
    ("table-without-rls", "supabase/1.sql", "create table private.a (id int);"),
    ("table-without-rls", "db/1.sql", "create table a (id int);"),
    ("query-in-loop", "a.ts", "for (const i of await supabase.from('a').select('b')) { count(i); }"),
    (
        "query-in-loop",
        "a.ts",
        "for (const i of xs) { handlers.push(async () => { await supabase.from('a').select('b'); }); }",
    ),
    ("query-in-loop", "a.py", "for row in cursor.execute('select 1'):\n    use(row)\n"),
    ("query-in-loop", "a.py", "for i in xs:\n    client.get(i)\n"),
    ("select-star", "a.ts", "supabase.from('a').select('id, name') // .select('*')"),
    ("whole-library", "a.ts", "import debounce from 'lodash/debounce'; import type { Dictionary } from 'lodash';"),
    ("raw-html", "a.js", "if (element.innerHTML === text) { use('dangerouslySetInnerHTML'); }"),
    ("code-from-text", "a.py", "model.eval()\nliteral_eval(text)"),
    ("shell", "a.py", "subprocess.run(['ls'], shell=False)  # shell=True"),
    ("shell-template", "a.ts", "const m = pattern.exec(`${text}`);"),
    ("unsafe-loading", "a.py", "yaml.safe_load(text)\nyaml.load(text, Loader=yaml.SafeLoader)"),
    ("unverified-tls", "a.py", "requests.get(url, verify=True)"),
    ("debugging", "src/a.ts", "console.error(x); // console.log(x)"),
    ("debugging", "scripts/a.js", "console.log(x);"),
    ("debugging-python", "src/a.py", "pprint(x)\nself.print(x)\n'print(x)'"),
    ("debugging-python", "scripts/a.py", "print(x)"),
]


@pytest.mark.parametrize(("name", "path", "text"), KEPT)
def test_domain__a_rule_leaves_alone(name: str, path: str, text: str) -> None:
    domains = ("general", "data", "performance")
    assert all(name not in found(path, text, domain) for domain in domains)


@pytest.mark.parametrize(
    ("name", "path", "text"),
    [
        ("inline-style", "a.tsx", "const a = <div style={{ color: 'red' }} />;"),
        ("inline-style", "a.html", '<div style="color: red">x</div>'),
        ("image-without-alt", "a.tsx", "const a = (\n  <img\n    src={x}\n    width={3}\n  />\n);"),
        ("image-without-alt", "a.jsx", 'const a = <Image src="/a.png" />;'),
        ("image-without-alt", "a.html", '<img\n src="a.png">'),
        ("unnamed-control", "a.tsx", "const a = <button onClick={f}></button>;"),
        ("unnamed-control", "a.html", '<a href="/x"></a>'),
        ("unlabelled-input", "a.tsx", 'const a = <input type="text" />;'),
        ("unlabelled-input", "a.html", "<p><select></select></p>"),
        ("click-without-role", "a.tsx", "const a = <div onClick={f}>x</div>;"),
        ("click-without-role", "a.vue", '<template><span @click="f">x</span></template>'),
    ],
)
def test_domain__markup_that_people_cannot_use(name: str, path: str, text: str) -> None:
    assert name in found(path, text, "ui")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.tsx", 'const a = <img src={x} alt="" />;'),
        ("a.tsx", "const a = <img {...props} />;"),
        ("a.tsx", 'const a = <Image name="folder" />;'),
        ("a.tsx", "// <img src={x} />\nconst a = '<img>';"),
        ("a.tsx", "const a = <button><Icon /></button>;"),
        ("a.tsx", 'const a = <button aria-label="Close" />;'),
        ("a.tsx", "const a = <label>Name <input /></label>;"),
        ("a.tsx", 'const a = <input type="hidden" />;'),
        ("a.tsx", 'const a = <input id="name" />;'),
        ("a.tsx", "const a = <input {...register('name')} />;"),
        ("a.tsx", "const a = <Card onClick={f} />;"),
        ("a.tsx", 'const a = <div role="button" tabIndex={0} onClick={f}>x</div>;'),
        ("a.tsx", "const a = <button onClick={f}>x</button>;"),
        ("a.tsx", "const a = <div style={{ '--size': size }} />;"),
        ("a.tsx", "const a = <div style={style} />;"),
        ("a.html", '<!-- <img src="a"> --><img src="a" alt="A"><a id="top"></a><label>Name <input></label>'),
    ],
)
def test_domain__markup_that_people_can_use(path: str, text: str) -> None:
    assert not found(path, text, "ui")


@pytest.mark.parametrize(
    ("path", "text", "leaks"),
    [
        ("a.ts", "res.status(500).json({ error: err.message });", True),
        ("a.ts", "return NextResponse.json({ error: error.stack }, { status: 500 });", True),
        ("a.py", "return jsonify(error=str(e)), 500", True),
        ("a.ts", "logger.error(err.message); res.status(500).json({ error: 'failed' });", False),
        ("a.py", "log.error(str(e))\nreturn jsonify(error='failed'), 500", False),
    ],
)
def test_domain__details_of_an_error_in_an_answer(path: str, text: str, leaks: bool) -> None:
    assert any(name.startswith("leaked-error") for name in found(path, text, "api")) is leaks
    assert not any(name.startswith("leaked-error") for name in found(path, text, "ui"))


@pytest.mark.parametrize(("text", "weak"), [("hashlib.md5(x)", True), ("hashlib.sha256(x)", False)])
def test_domain__weak_digests_concern_security(text: str, weak: bool) -> None:
    assert ("weak-digest" in found("a.py", text, "security")) is weak
    assert "weak-digest" not in found("a.py", text, "ui")


@pytest.mark.parametrize(
    ("path", "text", "domain", "severity"),
    [
        ("a.ts", "let x: any;", "code-quality", Severity.ERROR),
        ("a.ts", "let x: any;", "ui", Severity.WARNING),
        ("a.py", 'q = f"SELECT a FROM t WHERE id = {i}"', "security", Severity.ERROR),
        ("a.py", 'q = f"SELECT a FROM t WHERE id = {i}"', "ui", Severity.WARNING),
        ("a.sql", "DROP TABLE a;", "data", Severity.ERROR),
        ("a.sql", "DROP TABLE a;", "feature", Severity.WARNING),
        ("a.tsx", "const a = <img src={x} />;", "ux", Severity.ERROR),
        ("a.tsx", "const a = <img src={x} />;", "api", Severity.WARNING),
    ],
)
def test_domain__how_severe_a_rule_is_depends_on_the_items_domain(
    path: str, text: str, domain: str, severity: Severity
) -> None:
    assert list(found(path, text, domain).values()) == [severity]


def test_domain__a_warning_warns_an_error_fails_nothing_passes() -> None:
    assert judged("a.ts", "let x: any;").status is TierStatus.WARN
    assert judged("a.ts", "let x: any;", "code-quality").status is TierStatus.FAIL
    passed = judged("a.ts", "let x: string;")
    assert (passed.tier, passed.status, passed.findings) == (Tier.DOMAIN, TierStatus.PASS, ())


def test_domain__a_finding_names_the_file_and_its_lines_and_what_to_do() -> None:
    (finding,) = judged("a.ts", "let x: any;\nlet y: string;\nlet z: any;\n").findings
    assert finding.path == "a.ts"
    assert finding.message.startswith("a.ts: lines 1, 3: `any`")
    assert "proper type" in finding.recommendation


def test_domain__the_same_in_tests_does_not_count() -> None:
    assert not found("tests/test_a.py", "print(1)\npickle.loads(x)\n")
    assert not found("src/a.test.ts", "const x: any = 1;")


OLD = "function f(x: any) {\n  console.log(x);\n}\n"


@pytest.mark.parametrize(
    "new",
    [
        OLD + "const y = 1;\n",
        "if (x) {\n" + "".join(f"  {line}\n" for line in OLD.splitlines()) + "}\n",
        "function f(\n  x: any,\n) {\n  console.log(\n    x,\n  );\n}\n",
        "// moved\n\n" + OLD,
    ],
)
def test_domain__what_was_there_before_is_not_new(new: str) -> None:
    assert check_domain(subject({"a.ts": OLD}, {"a.ts": new})).findings == ()


def test_domain__what_moves_to_another_file_is_not_new() -> None:
    assert check_domain(subject({"a.ts": OLD}, {"a.ts": "", "b.ts": OLD})).findings == ()
    assert check_domain(subject({"a.ts": OLD}, {"a.ts": None, "src/b.ts": OLD})).findings == ()


def test_domain__what_is_copied_is_new() -> None:
    result = check_domain(subject({"a.ts": OLD}, {"b.ts": OLD}))
    assert [finding.path for finding in result.findings] == ["b.ts", "b.ts"]


def test_domain__one_more_of_the_same_is_told_by_its_line() -> None:
    result = check_domain(subject({"a.ts": OLD}, {"a.ts": "let first: any;\n" + OLD}))
    assert [finding.message.partition(": `")[0] for finding in result.findings] == ["a.ts: line 1"]


def test_domain__code_that_comes_out_of_its_comment_is_new() -> None:
    result = check_domain(subject({"a.ts": "/*\nlet x: any;\n*/\n"}, {"a.ts": "\nlet x: any;\n\n"}))
    assert len(result.findings) == 1


def test_domain__a_migration_that_loses_its_care_is_new() -> None:
    before, after = "DROP TABLE IF EXISTS a;\n", "DROP TABLE a;\n"
    assert check_domain(subject({"a.sql": before}, {"a.sql": after}, domain="data")).status is TierStatus.FAIL


def test_domain__a_query_that_is_built_in_another_ones_place_is_new() -> None:
    before = 'q = f"SELECT a FROM t WHERE a = {x}"\n'
    after = 'q = f"SELECT a FROM t WHERE b = {x}"\n'
    assert check_domain(subject({"a.py": before}, {"a.py": after}, domain="api")).status is TierStatus.FAIL


def test_domain__of_too_many_findings_the_errors_are_shown() -> None:
    files = {f"f{n:03}.ts": "let x: any;" for n in range(60)} | {"z.py": "eval(x)"}
    result = check_domain(subject({}, files, domain="api"))
    assert len(result.findings) == MOST_FINDINGS + 1
    assert result.findings[0].path == "z.py"
    assert result.findings[-1].message == "and 11 more"


def test_domain__what_cannot_be_looked_into_is_told() -> None:
    long = "x" * 1_000_001
    assert judged("data.txt", long).status is TierStatus.WARN
    assert judged("a.ts", long).status is TierStatus.FAIL
    assert judged("a.py", "x = 1\0").status is TierStatus.FAIL


def test_domain__every_rule_has_a_name_of_its_own_and_says_what_to_do() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.message and rule.recommendation and (rule.errors or rule.warns) for rule in RULES)


def test_domain__every_rule_is_tested_both_ways() -> None:
    elsewhere = {
        *("secret", "likely-secret", "inline-style", "image-without-alt", "unnamed-control", "unlabelled-input"),
        *("click-without-role", "leaked-error", "leaked-error-python", "weak-digest"),
    }
    names = {rule.name for rule in RULES} - elsewhere
    assert {name for name, *_ in BROKEN} == names
    assert {name for name, *_ in KEPT} == names
