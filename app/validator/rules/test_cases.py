"""The test cases and assertions of a file, told by its syntax, by patterns where there is no grammar."""

from __future__ import annotations

import posixpath
import re

from app.validator.rules.source import JAVASCRIPT, Source
from app.validator.rules.syntax import Syntax

_CASE = re.compile(
    r"(?:it|test|specify|xit|xtest|fit|Deno\.test)(?:\.(?:skip|only|concurrent|sequential|todo|fails|failing|fixme))*"
)
_TABLE = re.compile(
    r"(?:it|test|specify|xit|xtest|fit)(?:\.(?:skip|only|concurrent|sequential|fails|failing))*\.(?:each|for)\s*[(`]"
)
_STRINGS = ("string", "template_string", "interpreted_string_literal", "raw_string_literal")

PATTERNS: dict[str, str] = {
    ".rs": r"^[ \t]{0,80}#\[(?:\w{1,40}::)?test\b[^;{]{0,300}?\bfn\s{1,5}(\w{1,200})",
    ".java": r"^[ \t]{0,80}@(?:Test|ParameterizedTest|RepeatedTest)\b[^;{]{0,300}?\b(\w{1,200})\s{0,5}\(\s{0,5}[\w)]",
    ".kt": r"^[ \t]{0,80}@(?:Test|ParameterizedTest)\b[^;{]{0,300}?\bfun\s{1,5}(`[^`\n]{1,200}`|\w{1,200})",
    ".rb": r"^[ \t]{0,80}(?:it|specify|test)\s{1,3}([\"'][^\"'\n]{1,200}[\"'])|^[ \t]{0,80}def\s{1,3}(test_\w{1,200})",
    ".php": r"^[ \t]{0,80}(?:public\s{1,5})?function\s{1,5}(test\w{1,200})"
    r"|^[ \t]{0,80}(?:it|test)\(\s{0,5}(['\"][^'\"\n]{1,200})",
    ".cs": r"^[ \t]{0,80}\[(?:Fact|Theory|Test|TestCase|TestMethod)\b[^;{]{0,300}?\b(\w{1,200})\s{0,5}\(\s{0,5}[\w)]",
    ".swift": r"^[ \t]{0,80}(?:@Test\b[^{\n]{0,200}?)?func\s{1,5}(test\w{1,200})",
    ".exs": r"^[ \t]{0,80}test\s{1,3}(\"[^\"\n]{1,200}\")",
}
"""How a case, and its name, is told where there is no grammar; at the start of a line, so that none is a comment."""

_PATTERNS = {suffix: re.compile(expression, re.MULTILINE) for suffix, expression in PATTERNS.items()}

_ASSERTIONS = {
    "python": r"^\s{0,200}assert\b|\.assert\w{1,60}\s{0,3}\(|\bpytest\.(?:raises|warns|approx)\b",
    "go": r"\b[tb]\.(?:Error|Errorf|Fatal|Fatalf|Fail|FailNow)\s{0,3}\(|\b(?:assert|require)\.\w{1,60}\(",
    "javascript": r"\bexpect\s{0,3}\(|\bassert(?:\.\w{1,40})?\s{0,3}\(|\.should\b|\bexpectTypeOf\b",
    "": r"\bassert\w{0,60}!?\s{0,3}\(|\bexpect\w{0,30}\s{0,3}\(|\bAssert\.\w{1,60}\(",
}
_COMPILED_ASSERTIONS = {name: re.compile(expression, re.MULTILINE) for name, expression in _ASSERTIONS.items()}


def recognises(path: str) -> bool:
    """Whether the cases of such a file can be told."""
    source = Source(path, b"")
    return source.syntax is not None or _suffix(path) in _PATTERNS


def case_names(source: Source | None, before: Source | None = None) -> list[str]:
    """The name of every test case, a skipped one too, in order; a case in a comment is none.

    Where the file has a ``before``, a Python class that it has not had counts only with a name, or a base, that pytest
    and unittest look for; what a repository's own settings make of the classes that were there, nobody knows.
    """
    if not source or not source.is_text:
        return []
    if source.syntax and source.language == "python":
        return _python(source.syntax, before.syntax if before else None)
    if source.syntax:
        return _go(source.syntax) if source.language == "go" else _javascript(source.syntax)
    expression = _PATTERNS.get(_suffix(source.path))
    found = expression.finditer(source.text) if expression else ()
    return [next(filter(None, match.groups()), "") for match in found]


def assertion_count(source: Source) -> int:
    """How often the file asserts something."""
    language = "javascript" if source.language in JAVASCRIPT else source.language
    expression = _COMPILED_ASSERTIONS.get(language, _COMPILED_ASSERTIONS[""])
    return sum(1 for _ in expression.finditer(source.code))


def _suffix(path: str) -> str:
    return posixpath.splitext(path)[1].lower()


def _python(syntax: Syntax, before: Syntax | None) -> list[str]:
    unseen = _not_collected(syntax) - (_class_names(before) if before else _class_names(syntax))
    names = []
    for index in syntax.of("function_definition"):
        name = syntax.text(syntax.child(index, "name"))
        home = next((above for above in syntax.above(index) if syntax.nodes[above].kind == "class_definition"), -1)
        if name.startswith("test") and (home < 0 or syntax.text(syntax.child(home, "name")) not in unseen):
            names.append(name)
    return names


def _class_names(syntax: Syntax) -> set[str]:
    return {syntax.text(syntax.child(index, "name")) for index in syntax.of("class_definition")}


def _not_collected(syntax: Syntax) -> set[str]:
    """The classes without such a name and without a base, which may be a TestCase; no other class has them as base."""
    bare: set[str] = set()
    bases: set[str] = set()
    for index in syntax.of("class_definition"):
        name = syntax.text(syntax.child(index, "name"))
        found = set(re.findall(r"\w{1,200}", syntax.text(syntax.child(index, "superclasses"), 2000))) - {"object"}
        bases |= found
        if not found and not name.startswith("Test"):
            bare.add(name)
    return bare - bases


def _go(syntax: Syntax) -> list[str]:
    functions = (syntax.text(syntax.child(index, "name")) for index in syntax.of("function_declaration"))
    names = [name for name in functions if re.match(r"(?:Test|Fuzz|Benchmark|Example)(?![a-z])", name)]
    for call in syntax.of("call_expression"):
        if re.fullmatch(r"\w{1,20}\.Run", syntax.text(syntax.child(call, "function"), 40)):
            names += _first_literal(syntax, call)
    return names


def _javascript(syntax: Syntax) -> list[str]:
    names: list[str] = []
    for call in syntax.of("call_expression"):
        function = syntax.text(syntax.child(call, "function"), 60)
        if _CASE.fullmatch(function) or _TABLE.match(function):
            names += _first_literal(syntax, call)
    return names


def _first_literal(syntax: Syntax, call: int) -> list[str]:
    """The string that a call begins with, unquoted; nothing when it begins with something else."""
    arguments = syntax.child(call, "arguments")
    if arguments < 0:
        return []
    first = next((a for a in syntax.children(arguments) if syntax.nodes[a].kind not in ("(", "comment")), -1)
    return [syntax.text(first, 200).strip("\"'`")] if first >= 0 and syntax.nodes[first].kind in _STRINGS else []
