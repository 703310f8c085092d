"""The comment parser's benchmark: ``python -m tests.benchmarks.comments [--comments N] [--seed N] [--processes N]``.

A million comments at random (seeded: pieces of Markdown and commands, or any characters), and inputs made to be slow at
four sizes up to GitHub's limit. It prints how long they took, how many raised (the bar: none), and what doubling an
input does to its time (linear: about 2). The times are
the best of five.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from app.commands.comment import COMMENT_LIMIT, parse_comment
from app.domain.commands import Mistake
from tests.unit.commands.comments import comment

CHUNK = 10_000
COMMAND = "\n/mason status"
SIZES = (8_000, 16_000, 32_000, COMMENT_LIMIT - len(COMMAND) - 100)
RUNS = 5
SHORTEST = 0.005
"""Seconds: of what is quicker than that a ratio says nothing."""


def repeated(piece: str) -> Callable[[int], str]:
    return lambda size: piece * (size // len(piece))


def stairs(step: str, steps: int, rest: str) -> Callable[[int], str]:
    """Lines that go ever deeper, down to ``steps`` and then from the top again."""
    flight = "".join(step * depth + rest for depth in range(steps))
    return lambda size: flight * (size // len(flight))


HARD: dict[str, Callable[[int], str]] = {
    "quotes in one line": repeated("> "),
    "quotes, a line each": repeated("> a\n"),
    "quotes, ever deeper": stairs(">", 60, " a\n"),
    "a deep quote that goes on": lambda size: "> " * 90 + "x\n" + "y\n" * (size // 2 - 91),
    "lists in one line": repeated("- "),
    "lists, an item a line": repeated("- a\n"),
    "lists, ever deeper": stairs("  ", 60, "- a\n"),
    "lists in lists, a line each": repeated("- - - - a\n"),
    "lists in quotes that go on": lambda size: "> - " * 20 + "x\n" + "y\n" * (size // 2 - 41),
    "ordered lists": repeated("1. a\n"),
    "emphasis": repeated("*a **a _a "),
    "stars": repeated("*"),
    "opening brackets": repeated("["),
    "brackets": lambda size: "[" * (size // 2) + "]" * (size // 2),
    "images": repeated("!["),
    "links without an end": repeated("[a]("),
    "links, titles without an end": repeated("[a](b 'c"),
    "references": repeated("[a]: b\n"),
    "references without an end": repeated("[a\n"),
    "references, used": lambda size: "[a]: b\n\n" + "[a][" * (size // 4 - 2),
    "ticks": repeated("`a``a```a````a"),
    "ticks, ever more": lambda size: "".join("`" * n + "a" for n in range(int((2 * size) ** 0.5) - 2)),
    "comments without an end": repeated("a <!-- "),
    "instructions without an end": repeated("a <? "),
    "character data without an end": repeated("a <![CDATA["),
    "tags without an end": repeated("a <b c='"),
    "less-than signs": repeated("<"),
    "backslashes": repeated("\\"),
    "ampersands": repeated("&#"),
    "tables": repeated("a|b\n-|-\n\n"),
    "a wide table": lambda size: "|a" * (size // 4) + "\n" + "|-" * (size // 4),
    "pipes": repeated("|"),
    "fences": repeated("```\n"),
    "HTML blocks": repeated("<div>\n\n"),
    "blank lines": repeated("\n"),
    "spaces": repeated(" "),
    "commands": repeated("/mason run\n"),
    "commands in code": repeated("`\n/mason run\n"),
    "commands in brackets": repeated("[\n/mason run\n"),
    "one command, long": lambda size: "/mason fix " + "x\u200b" * (size // 2 - 6),
    "one command, many options": lambda size: "/mason run " + "--item=0 " * (size // 9 - 2),
}


def fuzz(seed: int, count: int) -> Counter[str]:
    """So many comments: those with commands, with mistakes, and what was raised."""
    chance = random.Random(seed)
    seen: Counter[str] = Counter()
    for _ in range(count):
        body = comment(chance)
        try:
            lines = parse_comment(body)
        except Exception as problem:  # noqa: BLE001 - it is what is counted
            seen[f"raised {type(problem).__name__}"] += 1
            print(f"{type(problem).__name__}: {problem}: {body!r}", file=sys.stderr)
            continue
        seen["with commands"] += any(not isinstance(line.asked, Mistake) for line in lines)
        seen["with mistakes"] += any(isinstance(line.asked, Mistake) for line in lines)
        seen["lines for Mason"] += len(lines)
    return seen


def best_time(body: str) -> float:
    """In seconds, without the garbage collector: its passes over a hundred thousand tokens come in leaps."""
    best = float("inf")
    for _ in range(RUNS):
        gc.collect()
        gc.disable()
        start = time.perf_counter()
        parse_comment(body)
        best = min(best, time.perf_counter() - start)
        gc.enable()
        if best > 1:
            break
    return best


def hard() -> None:
    print(f"\n{'input':32}" + "".join(f"{size:>10,}" for size in SIZES) + f"{'ratio':>8}   ms; the last doubling")
    worst = ("", 0.0)
    for name, make in HARD.items():
        times = [best_time(make(size) + COMMAND) for size in SIZES]
        ratio = times[-1] / times[-2]
        worst = max(worst, (name, ratio), key=lambda one: one[1]) if times[-1] > SHORTEST else worst
        shown = f"{ratio:8.2f}" if times[-1] > SHORTEST else f"{'–':>8}"
        print(f"{name:32}" + "".join(f"{seconds * 1000:10.1f}" for seconds in times) + shown, flush=True)
    print(f"\nThe greatest ratio is {worst[1]:.2f}: {worst[0]}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comments", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    start, seen = time.perf_counter(), Counter[str]()
    chunks = [min(CHUNK, given.comments - at) for at in range(0, given.comments, CHUNK)]
    with ProcessPoolExecutor(given.processes) as pool:
        for part in pool.map(fuzz, (given.seed * 1_000_000 + number for number in range(len(chunks))), chunks):
            seen += part
    took = time.perf_counter() - start
    print(f"comments         {given.comments:>12,}   {took:.0f} s, {took / given.comments * 1e6:.0f} µs each")
    for name in ("with commands", "with mistakes", "lines for Mason"):
        print(f"{name:16} {seen[name]:>12,}")
    print(f"{'exceptions':16} {sum(count for name, count in seen.items() if name.startswith('raised')):>12,}   bar: 0")
    hard()


if __name__ == "__main__":
    main()
