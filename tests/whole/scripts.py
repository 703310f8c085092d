"""Scripted agents and checks: what a state of the tree is worth stands in its files, what an agent does in its item.

The first word of ``state.txt`` and of each ``src/*.txt`` is the verdict on that file: ``good``, or ``<word>:<check>``
with one of WORDS. The same words are read by ``check.sh`` (for the real gate), by ScriptedGate, and by ``flaws``, which
the tests judge finished branches with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from app.domain.results import CheckKind, CheckResult, CheckStatus, GateResult, Usage
from app.gate.checks import Gate
from app.ports.agent import AgentRequest, AgentResult, Role
from app.process import Stop

KINDS = ("typecheck", "lint", "build", "test")

STATUS_OF_WORD = {
    "bad": CheckStatus.FAIL,
    "auto": CheckStatus.FAIL,
    "timeout": CheckStatus.TIMEOUT,
    "missing": CheckStatus.ERROR,
    "flaky": CheckStatus.FAIL,
}
"""``auto`` is what the autofixer can repair; ``flaky`` passes in a work tree and fails in a clean checkout."""

CHECK = """\
kind=$1
case "$PWD" in */final-*) clean=yes ;; *) clean=no ;; esac
for file in state.txt src/*.txt; do
  [ -f "$file" ] || continue
  read -r word rest < "$file" || true
  case "$word" in
    "bad:$kind" | "auto:$kind") echo "$file:1: error: $word $rest"; exit 1 ;;
    "timeout:$kind") kill -9 $$ ;;
    "missing:$kind") exec mason-has-no-such-program ;;
    "flaky:$kind") [ $clean = no ] || { echo "$file:1: error: $word $rest"; exit 1; } ;;
  esac
done
echo left by a check > junk.txt
"""

FIX = """\
for file in src/*.txt; do
  read -r word rest < "$file" || true
  if [ "$word" = auto:lint ]; then echo "good $rest" > "$file"; fi
done
"""

POLICY = "checks:\n" + "".join(f"  {kind}: sh check.sh {kind}\n" for kind in KINDS if kind != "lint")
POLICY += "  lint: {run: sh check.sh lint, fix: sh fix.sh}\n"

REPOSITORY = {
    ".github/mason.yml": POLICY,
    "README.md": "A repository of words.\n",
    "check.sh": CHECK,
    "fix.sh": FIX,
    "other/kept.txt": "nobody asked to change this\n",
    "src/common.txt": "good\n",
    "state.txt": "good\n",
}


def flaws(files: Mapping[str, str], *, clean: bool = True) -> dict[str, CheckStatus]:
    """What is wrong with the words of these files: check → status."""
    found = {}
    for text in files.values():
        word, _, kind = (text.split() or [""])[0].partition(":")
        if word in STATUS_OF_WORD and kind in KINDS and (clean or word != "flaky"):
            found[kind] = STATUS_OF_WORD[word]
    return found


def words_of(tree: Path) -> dict[str, str]:
    """The files of a directory that carry a word."""
    places = [tree / "state.txt", *sorted((tree / "src").glob("*.txt"))]
    return {str(p.relative_to(tree)): p.read_text("utf-8", "replace") for p in places if p.is_file()}


class ScriptedGate(Gate):
    """Judges words without starting a process, and leaves a file behind as real checks do."""

    def prepare(self, tree: Path, stop: Stop, *, base: bool = False) -> CheckResult | None:
        return None

    def run(
        self,
        tree: Path,
        kinds: Sequence[CheckKind],
        stop: Stop,
        on_started: Callable[[CheckKind], None] = lambda _: None,
        on_finished: Callable[[CheckResult], None] = lambda _: None,
    ) -> tuple[CheckResult, ...]:
        words = words_of(tree)
        found = flaws(words, clean="final-" in tree.name)
        results = []
        for kind in kinds:
            on_started(kind)
            status = found.get(kind.value, CheckStatus.PASS)
            if not (tree / "check.sh").is_file():
                status = CheckStatus.FAIL
            output = "" if status is CheckStatus.PASS else f"{sorted(words.items())}"
            results.append(CheckResult(kind=kind, status=status, output=output, reason=status.value))
            on_finished(results[-1])
        (tree / "junk.txt").write_text("left by a check")
        return tuple(results)

    def autofix(self, tree: Path, kinds: Sequence[CheckKind], stop: Stop) -> list[str]:
        for name, text in words_of(tree).items():
            if text.startswith("auto:lint"):
                (tree / name).write_text(text.replace("auto:lint", "good", 1))
        return ["autofix"]


@dataclass(kw_only=True)
class Journal:
    """What really happened, kept apart from what Mason says of it."""

    finals: dict[Path, str] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    pushes: list[tuple[str, str, bool]] = field(default_factory=list)
    calls: list[tuple[UUID, Role]] = field(default_factory=list)
    on_step: Callable[[UUID | None], None] = lambda _: None


class WatchedGate(Gate):
    """The real gate; notes which commits passed every check on a clean checkout."""

    journal: Journal

    def prepare(self, tree: Path, stop: Stop, *, base: bool = False) -> CheckResult | None:
        self.journal.on_step(None)
        return super().prepare(tree, stop, base=base)

    def run(
        self,
        tree: Path,
        kinds: Sequence[CheckKind],
        stop: Stop,
        on_started: Callable[[CheckKind], None] = lambda _: None,
        on_finished: Callable[[CheckResult], None] = lambda _: None,
    ) -> tuple[CheckResult, ...]:
        self.journal.on_step(None)
        results = super().run(tree, kinds, stop, on_started, on_finished)
        commit = self.journal.finals.get(tree)
        complete = {kind.value for kind in kinds} >= set(KINDS)
        if commit and complete and GateResult(checks=results).passed:
            self.journal.passed.add(commit)
        return results

    def autofix(self, tree: Path, kinds: Sequence[CheckKind], stop: Stop) -> list[str]:
        self.journal.on_step(None)
        return super().autofix(tree, kinds, stop)


class WatchedScriptedGate(WatchedGate, ScriptedGate):
    """The scripted one, watched as well."""


Move = Callable[[Path, str, str], AgentResult]
"""What an agent does in a tree: (tree, its item's own file, a word that no other call writes) → its answer."""


def says(word: str) -> Move:
    def move(tree: Path, own: str, nonce: str) -> AgentResult:
        _write(tree / own, f"{word} {nonce}\n")
        return AgentResult(text=f"wrote {word}", answer={"decision": "fixed", "reason": "it is good now"})

    return move


def repeats(word: str) -> Move:
    """The same failure again and again."""
    return lambda tree, own, nonce: says(word)(tree, own, "")


def lies(tree: Path, own: str, nonce: str) -> AgentResult:
    return AgentResult(text="All checks pass now.", answer={"decision": "fixed", "reason": "done"})


def strays(tree: Path, own: str, nonce: str) -> AgentResult:
    """Changes a file that nobody asked to change."""
    _write(tree / "other" / "kept.txt", f"changed {nonce}\n")
    return says("good")(tree, own, nonce)


def litters(tree: Path, own: str, nonce: str) -> AgentResult:
    _write(tree / "elsewhere" / f"{nonce}.txt", "new\n")
    return says("good")(tree, own, nonce)


def weakens(tree: Path, own: str, nonce: str) -> AgentResult:
    """Makes every check pass by changing what checks."""
    _write(tree / "check.sh", f"exit 0 # {nonce}\n")
    _write(tree / ".github" / "mason.yml", "checks: {test: 'true'}\n")
    return says("bad:test")(tree, own, nonce)


def deletes(tree: Path, own: str, nonce: str) -> AgentResult:
    (tree / own).unlink(missing_ok=True)
    return AgentResult(text="deleted it")


def empties(tree: Path, own: str, nonce: str) -> AgentResult:
    for name in REPOSITORY:
        (tree / name).unlink(missing_ok=True)
    return AgentResult(text="deleted everything")


def repairs(tree: Path, own: str, nonce: str) -> AgentResult:
    """Puts right what every item starts from."""
    _write(tree / "state.txt", "good\n")
    return says("good")(tree, own, nonce)


def tampers(tree: Path, own: str, nonce: str) -> AgentResult:
    """Writes into the tree's own ``.git``, makes a link out of the tree, a nested repository and a strange name."""
    _write(tree / ".git" / "HEAD", "nonsense\n")
    _write(tree / ".git" / "hooks" / "pre-commit", "#!/bin/sh\nexit 1\n")
    _write(tree / "src" / "nested" / ".git" / "HEAD", "ref: refs/heads/main\n")
    link = tree / "src" / "link"
    if not link.is_symlink():
        link.symlink_to("/etc/passwd")
    _write(tree / "src" / "a\nb \udcff.txt", f"{nonce}\n")
    return says("good")(tree, own, nonce)


def fails(tree: Path, own: str, nonce: str) -> AgentResult:
    return AgentResult(error="The agent said: no \0 \udcff", usage=Usage(cost_usd=0.5))


def times_out(tree: Path, own: str, nonce: str) -> AgentResult:
    """Half of the work is there when the time is over."""
    _write(tree / own, f"bad:build half {nonce}\n")
    return AgentResult(error="The agent did not end within 1 s.")


def babbles(tree: Path, own: str, nonce: str) -> AgentResult:
    says("bad:typecheck")(tree, own, nonce)
    return AgentResult(text="\0\udcff" * 50, answer={"decision": ["fixed"], "reason": {"deep": [None] * 9}})


def asks(tree: Path, own: str, nonce: str) -> AgentResult:
    return AgentResult(answer={"decision": "needs-human", "reason": f"which of two ways? {nonce}"})


MOVES: dict[str, Move] = {
    **{f"{word}:{kind}": says(f"{word}:{kind}") for word in STATUS_OF_WORD for kind in KINDS},
    **{f"again {word}:test": repeats(f"{word}:test") for word in ("bad", "timeout", "missing", "flaky")},
    "good": says("good"),
    "lies": lies,
    "strays": strays,
    "litters": litters,
    "weakens": weakens,
    "deletes": deletes,
    "empties": empties,
    "repairs": repairs,
    "tampers": tampers,
    "fails": fails,
    "times out": times_out,
    "babbles": babbles,
    "asks": asks,
}

ANSWERS: dict[str, Mapping[str, object] | None] = {
    "go": {"decision": "PROCEED", "reason": "still there"},
    "skip": {"decision": "SKIP", "reason": "nothing to do"},
    "changed": {"decision": "MODIFIED", "reason": "somewhat", "details": "it moved"},
    "execute": {"decision": "EXECUTE", "reason": "worth it"},
    "garbage": {"decision": 42},
    "nothing": None,
}


WRITTEN = """# Written

Change `{own}`.

### Wave 1: Do it

| Task | Subagent | Description |
| ---- | -------- | ----------- |
| 1.1 | general-purpose | Write it |
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """How the agent behaves for one item. The last move is repeated for ever.

    ``meddles``: it also changes files when it is only asked something.
    """

    moves: tuple[str, ...]
    verify: str = "go"
    evaluate: str = "execute"
    prd: str = WRITTEN
    meddles: bool = False


def own_file(item_id: UUID) -> str:
    return f"src/{item_id.hex}.txt"


class ScriptedAgent:
    """Plays each item's script."""

    def __init__(self, scripts: Mapping[UUID, Script], journal: Journal) -> None:
        self._scripts = scripts
        self._journal = journal
        self._lock = threading.Lock()
        self._writes: dict[UUID, int] = {}

    @property
    def name(self) -> str:
        return "scripted"

    def require_ready(self) -> None:
        pass

    def run(self, request: AgentRequest, stop: Stop, on_activity: Callable[[str], None]) -> AgentResult:
        item = request.item.id
        script, own = self._scripts[item], own_file(item)
        self._journal.calls.append((item, request.role))
        self._journal.on_step(item)
        on_activity("thinking \0 about \udcff it")
        if not request.read_only:
            return MOVES[self._next(item, script.moves)](request.worktree, own, self._nonce(item))
        if script.meddles:
            _write(request.worktree / own, "good but nobody asked\n")
        match request.role:
            case Role.VERIFY:
                return AgentResult(answer=ANSWERS[script.verify])
            case Role.RE_EVALUATE:
                return AgentResult(answer=ANSWERS[script.evaluate])
            case Role.WRITE_PRD:
                return AgentResult(answer={"prd": script.prd.format(own=own)} if script.prd else None)
            case Role.PATTERNS:
                return AgentResult(answer={"violations": []})
            case _:
                return AgentResult(text="I looked around")

    def _next(self, item: UUID, moves: Sequence[str]) -> str:
        with self._lock:
            number = self._writes[item] = self._writes.get(item, 0) + 1
        return moves[min(number, len(moves)) - 1]

    def _nonce(self, item: UUID) -> str:
        """Letters: digits do not tell two failures apart."""
        return letters(self._writes[item])


def letters(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_dir():
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
