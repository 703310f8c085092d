"""Every rule of tier 4, in one table (seed, Domain-Specific Fix Guidance)."""

from __future__ import annotations

import posixpath
import re

from app.validator.rules.built_sql import find_built_sql
from app.validator.rules.markup import (
    find_click_without_role,
    find_images_without_alt,
    find_inline_styles,
    find_unlabelled_inputs,
    find_unnamed_controls,
)
from app.validator.rules.migrations import find_open_tables, find_unrepeatable, is_supabase
from app.validator.rules.queries import find_queries_in_loops
from app.validator.rules.rule import ALL, Rule, pattern
from app.validator.rules.secrets import find_likely_secrets, find_secrets
from app.validator.rules.source import JAVASCRIPT, TYPESCRIPT
from app.validator.rules.typescript import find_any
from app.validator.scope import LOCK_FILES

PYTHON = frozenset({"python"})
GO = frozenset({"go"})
SQL = frozenset({"sql"})
MARKUP = frozenset({"markup"})
PEOPLE = frozenset({"ui", "ux"})
TRUSTED = frozenset({"security", "api", "data"})
FAST = frozenset({"performance", "data", "api"})

_LOCKS = frozenset(name for names in LOCK_FILES.values() for name in names)
_FIXTURE = re.compile(
    r"(?:^|/)(?:fixtures?|testdata|__fixtures__|mocks?|__mocks__|examples?|samples?|cassettes)/", re.IGNORECASE
)
_EXAMPLE = re.compile(r"\.(?:example|sample|template|dist)$", re.IGNORECASE)
_TERMINAL = re.compile(
    r"(?:^|/)(?:scripts?|bin|cli|tools|examples?|management/commands|cmd)/|(?:^|/)(?:cli|__main__|manage|setup)\."
)


def _may_hold_secrets(path: str) -> bool:
    """Not what is made up for a test or an example, nor digests."""
    return not (_FIXTURE.search(path) or _EXAMPLE.search(path) or posixpath.basename(path) in _LOCKS)


def _is_written(path: str) -> bool:
    """By a person, that is: neither bundled nor minified."""
    return not re.search(r"\.min\.\w{2,4}$|(?:^|/)(?:dist|build|vendor|node_modules|\.next)/|\.(?:map|snap)$", path)


def _is_not_for_terminals(path: str) -> bool:
    return _is_written(path) and not _TERMINAL.search(path)


RULES: tuple[Rule, ...] = (
    Rule(
        name="secret",
        look=find_secrets,
        message="this has the form of a real secret",
        recommendation="take the secret out of the repository, read it from the environment, and have it revoked",
        languages=None,
        errors=ALL,
        applies=_may_hold_secrets,
    ),
    Rule(
        name="likely-secret",
        look=find_likely_secrets,
        message="a password, token or key may be written here as a literal",
        recommendation="read passwords, tokens and keys from the environment",
        languages=None,
        warns=ALL,
        applies=_may_hold_secrets,
    ),
    Rule(
        name="conflict-marker",
        look=pattern(r"^(?:<{7}|>{7}) \S", view="text", flags=re.MULTILINE),
        message="a marker of a merge conflict was left in the file",
        recommendation="resolve the merge conflict and remove its markers",
        languages=None,
        errors=ALL,
        in_tests=True,
        applies=lambda path: not _FIXTURE.search(path),
    ),
    Rule(
        name="any",
        look=find_any,
        message="`any` switches the type checker off",
        recommendation="replace `any` with the proper type, or `unknown` and a check",
        languages=TYPESCRIPT,
        errors=frozenset({"code-quality"}),
        warns=ALL,
        applies=_is_written,
    ),
    Rule(
        name="built-sql",
        look=find_built_sql,
        message="SQL is put together from values",
        recommendation="parameterise the query: pass values beside the statement, never inside it",
        languages=JAVASCRIPT | PYTHON | GO,
        errors=TRUSTED,
        warns=ALL,
        applies=_is_written,
    ),
    Rule(
        name="unrepeatable-migration",
        look=find_unrepeatable,
        message="this statement fails when it runs a second time",
        recommendation="make the migration idempotent: IF NOT EXISTS, IF EXISTS, OR REPLACE, or DROP … IF EXISTS first",
        languages=SQL,
        errors=frozenset({"data"}),
        warns=ALL,
    ),
    Rule(
        name="table-without-rls",
        look=find_open_tables,
        message="a new table has no row level security",
        recommendation="ALTER TABLE … ENABLE ROW LEVEL SECURITY in the same migration, with policies",
        languages=SQL,
        warns=ALL,
        applies=is_supabase,
    ),
    Rule(
        name="inline-style",
        look=find_inline_styles,
        message="an inline style",
        recommendation="use the design's classes and tokens (Tailwind where the project has it), not inline styles",
        languages=JAVASCRIPT | MARKUP,
        warns=PEOPLE | {"feature"},
        applies=_is_written,
    ),
    Rule(
        name="image-without-alt",
        look=find_images_without_alt,
        message="an image without alt text",
        recommendation='say in alt what the image shows, or alt="" where it is decoration',
        languages=JAVASCRIPT | MARKUP,
        errors=PEOPLE,
        warns=ALL,
        applies=_is_written,
    ),
    Rule(
        name="unnamed-control",
        look=find_unnamed_controls,
        message="a button or link without a name",
        recommendation="give it text or an aria-label",
        languages=JAVASCRIPT | MARKUP,
        errors=PEOPLE,
        warns=ALL,
        applies=_is_written,
    ),
    Rule(
        name="unlabelled-input",
        look=find_unlabelled_inputs,
        message="a field that no label can name",
        recommendation="put a label around it, or give it an id with a label for it, or an aria-label",
        languages=JAVASCRIPT | MARKUP,
        warns=PEOPLE | {"feature"},
        applies=_is_written,
    ),
    Rule(
        name="click-without-role",
        look=find_click_without_role,
        message="a click that the keyboard cannot make",
        recommendation="use a button, or give the element a role, a tabIndex and a key handler",
        languages=JAVASCRIPT | MARKUP,
        warns=PEOPLE | {"feature"},
        applies=_is_written,
    ),
    Rule(
        name="query-in-loop",
        look=find_queries_in_loops,
        message="a query for each element",
        recommendation="ask once for all of them (`in`, a join, a batch) instead of once for each",
        languages=JAVASCRIPT | PYTHON | GO,
        warns=FAST,
        applies=_is_written,
    ),
    Rule(
        name="select-star",
        look=pattern(r"\.select\(\s{0,20}(?:'\*'|\"\*\"|`\*`)", view="uncommented"),
        message="all columns are read",
        recommendation="name the columns that are needed instead of select('*')",
        languages=JAVASCRIPT | PYTHON,
        warns=FAST,
        applies=_is_written,
    ),
    Rule(
        name="whole-library",
        look=pattern(
            r"^\s{0,20}import\s{1,5}(?!type\b)[^'\"\n;]{1,300}\sfrom\s{0,5}['\"](?:lodash|moment|underscore|ramda|rxjs/Rx)['\"]",
            r"\brequire\(\s{0,5}['\"](?:lodash|moment|underscore|ramda)['\"]",
            r"^\s{0,20}import\s{1,5}\*\s{1,5}as\s{1,5}\w{1,60}\s{1,5}from\s{1,5}['\"]"
            r"(?:lucide-react|react-icons(?:/\w{1,10})?|@mui/(?:icons-)?material|antd|@heroicons/[\w/]{1,30}|date-fns|three)['\"]",
            view="uncommented",
            flags=re.MULTILINE,
        ),
        message="a whole library is imported",
        recommendation="import only what is used (`lodash/debounce`), or what the platform has",
        languages=JAVASCRIPT,
        warns=frozenset({"performance", "ui", "ux", "feature"}),
        applies=_is_written,
    ),
    Rule(
        name="raw-html",
        look=pattern(
            r"\bdangerouslySetInnerHTML\b",
            r"\.(?:innerHTML|outerHTML)\s{0,5}\+?=(?!=)",
            r"\binsertAdjacentHTML\s{0,5}\(",
            r"\bdocument\.write(?:ln)?\s{0,5}\(",
        ),
        message="HTML is written past the framework's escaping",
        recommendation="render text as text, or sanitise the HTML first",
        languages=JAVASCRIPT,
        errors=frozenset({"security"}),
        warns=ALL,
        applies=_is_written,
    ),
    Rule(
        name="code-from-text",
        look=pattern(
            r"(?<![\w.$])eval\s{0,5}\((?!\s{0,5}\))",
            r"\bnew\s{1,5}Function\s{0,5}\(",
            r"(?<![\w.])exec\s{0,5}\(compile\b",
        ),
        message="text is run as code",
        recommendation="parse the text (JSON.parse, ast.literal_eval) instead of running it",
        languages=JAVASCRIPT | PYTHON,
        errors=TRUSTED,
        warns=ALL,
        applies=_is_written,
    ),
    Rule(
        name="shell",
        look=pattern(r"\bshell\s{0,5}=\s{0,5}True\b", r"\bos\.(?:system|popen)\s{0,5}\("),
        message="a command goes through a shell",
        recommendation="pass the command as a list of arguments, without a shell",
        languages=PYTHON,
        errors=frozenset({"security", "api"}),
        warns=ALL,
    ),
    Rule(
        name="shell-template",
        look=pattern(
            r"(?<![\w.$])exec(?:Sync)?\(\s{0,20}`[^`]{0,500}\$\{",
            r"\bchild_process\.exec(?:Sync)?\(\s{0,20}`[^`]{0,500}\$\{",
            view="uncommented",
        ),
        message="a command is put together from values and goes through a shell",
        recommendation="use execFile or spawn with a list of arguments",
        languages=JAVASCRIPT,
        errors=frozenset({"security", "api"}),
        warns=ALL,
        applies=_is_written,
    ),
    Rule(
        name="unsafe-loading",
        look=pattern(
            r"\byaml\.(?:load|load_all)\s{0,5}\((?![^)\n]{0,300}(?:Safe|CSafe|Base)Loader)",
            r"\byaml\.(?:unsafe_load|full_load)\s{0,5}\(",
            r"\b(?:pickle|cPickle|dill|marshal|shelve|joblib)\.(?:loads?|open)\s{0,5}\(",
        ),
        message="loading this can run what a stranger wrote",
        recommendation="load it with a safe loader (yaml.safe_load) or another format (JSON)",
        languages=PYTHON,
        errors=frozenset({"security", "api"}),
        warns=ALL,
    ),
    Rule(
        name="unverified-tls",
        look=pattern(
            r"\bverify\s{0,5}=\s{0,5}False\b",
            r"\b_create_unverified_context\b",
            r"\brejectUnauthorized\s{0,5}:\s{0,5}false\b",
            r"\bInsecureSkipVerify\s{0,5}:\s{0,5}true\b",
            r"\bNODE_TLS_REJECT_UNAUTHORIZED\b[^\n=]{0,5}=",
        ),
        message="a certificate, or a signature, is not verified",
        recommendation="verify it; trust a private authority by its certificate",
        languages=JAVASCRIPT | PYTHON | GO,
        errors=frozenset({"security", "api"}),
        warns=ALL,
    ),
    Rule(
        name="weak-digest",
        look=pattern(
            r"\bhashlib\.(?:md5|sha1)\s{0,5}\((?![^)\n]{0,300}usedforsecurity\s{0,3}=\s{0,3}False)",
            r"\bcreateH(?:ash|mac)\(\s{0,5}['\"`](?:md5|sha1)['\"`]",
            r"\b(?:md5|sha1)\.(?:New|Sum)\s{0,5}\(",
            view="uncommented",
        ),
        message="MD5 and SHA-1 protect nothing",
        recommendation="use SHA-256, and a password hash (argon2, bcrypt) for passwords",
        languages=JAVASCRIPT | PYTHON | GO,
        errors=frozenset({"security"}),
        warns=frozenset({"api", "data"}),
        applies=_is_written,
    ),
    Rule(
        name="debugging",
        look=pattern(
            r"\bconsole\.(?:log|debug|dir|table|trace)\s{0,5}\(",
            r"(?<![\w.$])debugger\b\s{0,3}(?:;|$)",
            flags=re.MULTILINE,
        ),
        message="output or a stop for debugging was left in",
        recommendation="remove it, or use the project's logger",
        languages=JAVASCRIPT,
        warns=ALL,
        applies=_is_not_for_terminals,
    ),
    Rule(
        name="debugging-python",
        look=pattern(r"(?<![\w.])print\s{0,5}\(", r"(?<![\w.])breakpoint\s{0,5}\(", r"\bi?pdb\.set_trace\s{0,5}\("),
        message="output or a stop for debugging was left in",
        recommendation="remove it, or use the project's logger",
        languages=PYTHON,
        warns=ALL,
        applies=_is_not_for_terminals,
    ),
    Rule(
        name="leaked-error",
        look=pattern(
            r"\.(?:json|send)\(\s{0,20}\{?[^;{}]{0,200}?\b(?:e|err|error|ex|exception)\.(?:message|stack)\b",
            r"\.(?:json|send)\(\s{0,20}(?:err|error|exception)\s{0,5}\)",
        ),
        message="details of an error go to the client",
        recommendation="log the error, and answer with a message of your own and the right status",
        languages=JAVASCRIPT,
        warns=frozenset({"api", "security"}),
        applies=_is_written,
    ),
    Rule(
        name="leaked-error-python",
        look=pattern(
            r"\b(?:jsonify|JSONResponse|HTTPException|make_response|Response|JsonResponse|HttpResponse)\("
            r"[^;]{0,200}?(?:\bstr\((?:e|err|error|ex|exc|exception)\)|\btraceback\.format_exc\()",
        ),
        message="details of an error go to the client",
        recommendation="log the error, and answer with a message of your own and the right status",
        languages=PYTHON,
        warns=frozenset({"api", "security"}),
    ),
)
