"""The imports that are followed at load time, as far as somebody asks.

Files are read in batches (one git process each), scanned rather than parsed, and forgotten: what stays is a set of
targets for each. A batch that the search cannot fill reads ahead, each one twice as much as the last, so that a long
chain of files does not become a long chain of processes. A scan may see more imports than there are, so a path is
believed only when every file on it has been parsed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, pairwise

from app.validator.resolve import Reader, Repository, reader_of

FIRST_BATCH, LARGEST_BATCH = 64, 2048
"""Files that one git process reads."""

BATCH_BYTES = 24_000_000
"""About what a batch may take in memory; large files make small batches."""

MOST_REFUTED = 300
"""Paths that turned out to be none, until the search is given up."""


class ImportGraph:
    """``exact`` are the load-time imports of nodes that have been parsed already."""

    def __init__(self, repository: Repository, exact: Mapping[str, Iterable[str]]) -> None:
        self._repository = repository
        self._targets: dict[str, tuple[str, ...]] = {node: tuple(sorted(targets)) for node, targets in exact.items()}
        self._exact = set(exact)
        self._batch = FIRST_BATCH
        self._refuted = 0
        self._ahead: dict[Reader | None, Iterator[str]] = {}

    @property
    def gave_up(self) -> bool:
        return self._refuted >= MOST_REFUTED

    def explore(self, starts: Iterable[str]) -> None:
        """Learn the imports of everything that can be reached."""
        seen = set(starts)
        waiting = deque(sorted(seen))
        while waiting:
            unknown: list[str] = []
            while waiting and len(unknown) < self._batch:
                node = waiting.popleft()
                if node not in self._targets:
                    unknown.append(node)
                    continue
                new = [target for target in self._targets[node] if target not in seen]
                seen.update(new)
                waiting.extend(new)
            if unknown:
                self._learn(unknown)
                waiting.extendleft(reversed(unknown))

    def components(self, starts: Iterable[str]) -> dict[str, int]:
        """The strongly connected component of every explored node, as a number (Tarjan's algorithm, on a list)."""
        number: dict[str, int] = {}
        low: dict[str, int] = {}
        component: dict[str, int] = {}
        stack: list[str] = []
        for start in starts:
            work = [] if start in number else [(start, iter(self._targets.get(start, ())))]
            while work:
                node, targets = work[-1]
                if node not in number:
                    number[node] = low[node] = len(number)
                    stack.append(node)
                for target in targets:
                    if target not in number:
                        work.append((target, iter(self._targets.get(target, ()))))
                        break
                    if target not in component:
                        low[node] = min(low[node], number[target])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[node])
                    if low[node] == number[node]:
                        at = bisect_left(stack, number[node], key=number.__getitem__)
                        component.update(dict.fromkeys(stack[at:], number[node]))
                        del stack[at:]
        return component

    def path(self, start: str, end: str) -> list[str]:
        """A shortest path from one node to another, each step of it parsed; empty when there is none."""
        while not self.gave_up:
            path = self._shortest(start, end)
            if not path or self._holds(path):
                return path
            self._refuted += 1
        return []

    def _shortest(self, start: str, end: str) -> list[str]:
        came_from: dict[str, str] = {start: ""}
        waiting = deque([start])
        while waiting and end not in came_from:
            node = waiting.popleft()
            for target in self._targets.get(node, ()):
                if target not in came_from:
                    came_from[target] = node
                    waiting.append(target)
        path = [end] if end in came_from else []
        while path and came_from[path[-1]]:
            path.append(came_from[path[-1]])
        return path[::-1]

    def _holds(self, path: Sequence[str]) -> bool:
        """Whether each step is there when its file is parsed; what is learned stays."""
        guessed = [node for node in path[:-1] if node not in self._exact]
        members = {member: node for node in guessed for member in self._repository.members(node)}
        found: dict[str, set[str]] = {node: set() for node in guessed}
        for member, data in self._repository.contents(members):
            module = self._repository.module(member, data)
            found[members[member]] |= self._repository.loaded(member, module)
        self._exact.update(found)
        self._targets.update({node: self._kept(targets) for node, targets in found.items()})
        return all(after in self._targets[node] for node, after in pairwise(path))

    def _learn(self, nodes: Sequence[str]) -> None:
        """Scan these nodes, and as many others as make a batch."""
        wanted = dict.fromkeys(nodes)
        wanted.update(dict.fromkeys(self._next_to(nodes[0], self._batch - len(wanted))))
        members = {member: node for node in wanted for member in self._repository.members(node)}
        found: dict[str, set[str]] = {node: set() for node in wanted}
        doubtful = set()
        total, paths = 0, list(members)
        for start in range(0, len(paths), self._batch):
            read = self._repository.files.read(paths[start : start + self._batch])
            for member, data in read.items():
                total += len(data)
                targets, exact = self._repository.scanned(member, data)
                found[members[member]] |= targets
                doubtful |= set() if exact else {members[member]}
        self._targets.update({node: self._kept(targets) for node, targets in found.items()})
        self._exact.update(node for node in found if node not in doubtful)
        room = BATCH_BYTES * len(paths) // max(total, 1)
        self._batch = max(1, min(2 * self._batch, LARGEST_BATCH, room))

    def _next_to(self, node: str, count: int) -> list[str]:
        """Unknown nodes that follow one in the alphabet, around its end: the neighbours first, none of them twice."""
        reader = reader_of(node)
        if reader not in self._ahead:
            nodes = self._repository.nodes_like(node)
            at = bisect_left(nodes, node)
            self._ahead[reader] = chain(islice(nodes, at, None), islice(nodes, at))
        return list(islice((one for one in self._ahead[reader] if one not in self._targets), max(count, 0)))

    @staticmethod
    def _kept(targets: set[str]) -> tuple[str, ...]:
        return tuple(sorted(targets))
