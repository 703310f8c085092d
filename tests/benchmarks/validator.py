"""The import graph's benchmarks: ``python -m tests.benchmarks.validator [NAME …] [--json]`` prints a table.

Each makes a git repository of TypeScript files of about 4 kB with eight imports each in a temporary directory
($TMPDIR), and judges a change in it in a process of its own. Time is wall time, memory that process's peak.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

from app.domain.plans import PrdContext
from app.domain.policy import Policy
from app.validator.exports import broken_uses
from app.validator.imports import check_imports
from app.validator.subject import Subject
from app.workspace import compare
from app.workspace.files import GitFiles
from app.workspace.git import Git
from tests.benchmarks.bench import Row
from tests.benchmarks.engine import main
from tests.unit.workspace.repositories import ENVIRONMENT, new_repository

RUNS = 3
BARS = {2_000: (3.0, None), 50_000: (30.0, 600.0)}
"""Seconds and megabytes."""

BODY = """export function handler{n}(request: Request, options?: Options): Response | null {{
  const value = request.headers.get('x-{n}');
  if (!value) {{
    return null; // nothing to import from here
  }}
  return answer(value.split(',').map((part) => part.trim()), options);
}}
"""

Imports = Callable[[int, int], list[str]]
"""(the number of a file, how many there are) → its import statements."""


def path(number: int) -> str:
    return f"src/d{number // 100}/f{number}.ts"


def statement(number: int, target: int) -> str:
    return f"import {{ handler{target} }} from '../d{target // 100}/f{target}';"


def downwards(number: int, _: int) -> list[str]:
    """Eight imports of files with lower numbers: no circle anywhere."""
    chosen = random.Random(number)
    return [statement(number, chosen.randrange(number)) for _ in range(8 if number else 0)]


def anywhere(number: int, count: int) -> list[str]:
    """Eight imports of any files: everything is reachable from everything."""
    chosen = random.Random(number)
    return [statement(number, chosen.randrange(count)) for _ in range(8)]


def chained(number: int, count: int) -> list[str]:
    """Each file imports the next, which lies in another directory: one long way."""
    step = 7919
    return [] if number == step * (count - 1) % count else [statement(number, (number + step) % count)]


def commented(number: int, count: int) -> list[str]:
    """As `anywhere`, but all imports stand in comments, which only parsing shows."""
    return ["/*", *anywhere(number, count), "*/"]


def typical(number: int, count: int) -> list[str]:
    return downwards(number, count)


SHAPES: dict[str, Imports] = {"typical": typical, "anywhere": anywhere, "chained": chained, "commented": commented}


def changed(shape: str, count: int) -> dict[str, str]:
    """Five files with one import more (and one function less); in a chain, its end imports a new file that imports its
    beginning through types alone, so that all of it is searched in vain."""
    if shape == "chained":
        return {"src/d0/new.ts": statement(0, 0)}
    chosen = random.Random(count)
    numbers = [chosen.randrange(count // 2, count) for _ in range(5)]
    return {path(n): text(n, count, SHAPES[shape], [statement(n, chosen.randrange(n))], functions=11) for n in numbers}


def text(number: int, count: int, imports: Imports, more: list[str], *, functions: int = 12) -> str:
    lines = [*imports(number, count), *more]
    names = [str(number), *(f"{number}_{part}" for part in range(1, functions))]
    return "\n".join(lines) + "\n" + "".join(BODY.format(n=name) for name in names)


def stream(files: Iterator[tuple[str, str]], mark: str) -> Iterator[bytes]:
    """A commit for ``git fast-import``."""
    yield f"commit refs/heads/main\nmark {mark}\ncommitter A <a@b.c> 0 +0000\ndata 1\nx\n".encode()
    for name, content in files:
        data = content.encode()
        yield f"M 100644 inline {name}\ndata {len(data)}\n".encode() + data + b"\n"


def repository(root: Path, shape: str, count: int) -> None:
    new_repository(root)
    files = ((path(n), text(n, count, SHAPES[shape], [])) for n in range(count))
    manifest = iter([("package.json", "{}"), ("tsconfig.json", '{"compilerOptions": {"paths": {"@/*": ["src/*"]}}}')])
    with subprocess.Popen(["git", "fast-import", "--quiet"], cwd=root, env=ENVIRONMENT, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        for part in (manifest, files, iter(changed(shape, count).items())):
            mark = {id(manifest): ":1", id(files): ":2"}.get(id(part), ":3")
            child.stdin.writelines(stream(part, mark))
    assert child.returncode == 0


def measured(shape: str, count: int) -> list[Row]:
    root = Path(tempfile.mkdtemp(prefix="mason-benchmark-"))
    try:
        repository(root, shape, count)
        runs = [json.loads(_in_a_process(root)) for _ in range(RUNS)]
    finally:
        shutil.rmtree(root, ignore_errors=True)
    seconds, megabytes = BARS[count]
    files = f"{count} files, {shape}"
    found = runs[0]["found"]
    return [
        Row(name=f"imports, {files}", figure=median(r["imports"] for r in runs), bar=seconds, unit="s", about=found),
        Row(
            name=f"exports, {files}",
            figure=median(r["exports"] for r in runs),
            bar=None,
            unit="s",
            about=runs[0]["uses"],
        ),
        Row(
            name=f"memory, {files}",
            figure=max(r["memory"] for r in runs),
            bar=megabytes,
            unit="MB",
            about="peak of both",
        ),
    ]


def _in_a_process(root: Path) -> bytes:
    command = [sys.executable, "-m", "tests.benchmarks.validator", "--judge", str(root)]
    return subprocess.run(command, capture_output=True, check=True, timeout=600).stdout


def judge(root: Path) -> None:
    """Judge the last commit of a repository, once; print what it took."""
    git = Git(git_dir=root / ".git", path=ENVIRONMENT["PATH"])
    before, after = "main~1", "main"
    subject = Subject(
        changes=compare.changes(git, before, after),
        context=PrdContext(),
        policy=Policy(),
        domain="general",
        before=GitFiles(git, before),
        after=GitFiles(git, after),
    )
    started = time.monotonic()
    result = check_imports(subject)
    between = time.monotonic()
    uses = broken_uses(subject)
    ended = time.monotonic()
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = sum(one.ru_utime + one.ru_stime for one in used)
    circles = sum("circular" in finding.message for finding in result.findings)
    print(
        json.dumps(
            {
                "imports": between - started,
                "exports": ended - between,
                "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "found": f"{circles} circles of {len(subject.changes)} changed files, {result.status}; "
                f"{processor:.1f} s of processor time for both, git's and the start included",
                "uses": f"{len(uses)} findings",
            }
        )
    )


BENCHMARKS = {f"{shape}-{count}": partial(measured, shape, count) for count in BARS for shape in SHAPES}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--judge"]:
        judge(Path(sys.argv[2]))
        sys.exit(0)
    sys.exit(main(benchmarks=BENCHMARKS, command="validator", description=__doc__))
