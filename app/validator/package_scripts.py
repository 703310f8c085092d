"""What package.json must not change on the way to a dependency: the scripts that check, and which tools they run.

Naming package.json in a PRD allows a dependency. A check's script, or what replaces a check's tool, has to be asked
for by its own name, alone in inline code or quotes (``test``, ``"scripts.test"``): that ``npm test`` passes asks
for nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from app.validator.rules.source import Source

EVERYTHING = "everything"
"""The name of a manifest that cannot be read."""

_CHECK = re.compile(
    r"(?:pre|post)?(?:test|lint|build|typecheck|type-check|types|tsc|check|e2e|ci|verify|validate|coverage)(?:[:_-].*)?",
    re.IGNORECASE,
)
_TOOL = re.compile(
    r"(?:@[\w-]+/)?(?:jest|vitest|mocha|ava|tap|jasmine|karma|cypress|playwright|eslint|typescript|tsx|ts-node|tsc|biome"
    r"|prettier|stylelint|oxlint|xo|c8|nyc|vite|webpack|next|esbuild|rollup|turbo|nx|vue-tsc|svelte-check)\b.*"
    r"|@(?:jest|vitest|playwright|eslint|typescript-eslint|biomejs|testing-library)/.*"
)
_CALL = re.compile(r"\b(?:npm|pnpm|yarn|bun|npm-run-all|run-s|run-p)\b([^|&;\n]{0,500})")
_WORD = re.compile(r"[\w:.@/-]+")
_LOCAL = ("file:", "link:", "portal:")
_DEPENDENCIES = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
_QUOTED = re.compile(r"`([^`\n]{1,200})`|\"([^\"\n]{1,200})\"|(?<!\w)'([^'\n]{1,200})'(?!\w)|“([^”\n]{1,200})”")


def unasked(before: Source | None, after: Source | None, words: str) -> list[str]:
    """The names of what changed and was not asked for in ``words``: ``scripts.test``, ``overrides``, a dependency."""
    old, new = _manifest(before), _manifest(after)
    if (before and old is None) or (after and new is None):
        return [EVERYTHING]
    if old is None:
        return []
    new = new or {}
    asked = {next(filter(None, match.groups()), "").strip().lower() for match in _QUOTED.finditer(words)}
    names = [*_scripts(old, new), *_replacements(old, new), *_local_tools(old, new)]
    return [name for name in names if asked.isdisjoint({name.lower(), name.lower().removeprefix("scripts.")})]


def _manifest(source: Source | None) -> dict[str, Any] | None:
    """None for what is no object in JSON; a byte order mark is one that some tools read and others do not."""
    try:
        content = json.loads(source.text) if source else None
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _table(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = manifest.get(name)
    return table if isinstance(table, dict) else {}


def _scripts(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    had, has = _table(old, "scripts"), _table(new, "scripts")
    checks = _called(had)
    hooks = {f"{when}{name}" for name in checks for when in ("pre", "post")} & set(has) - set(had)
    return [f"scripts.{name}" for name in had if name in checks and has.get(name) != had[name]] + [
        f"scripts.{name}" for name in sorted(hooks)
    ]


def _called(scripts: Mapping[str, Any]) -> set[str]:
    """The scripts that check, and those that they call, however far."""
    waiting = [name for name in scripts if _CHECK.fullmatch(name)]
    found = set(waiting)
    while waiting:
        for call in _CALL.finditer(str(scripts[waiting.pop()])):
            more = {word for word in _WORD.findall(call[1]) if word in scripts} - found
            found |= more
            waiting += more
    return found


def _replacements(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    names = [name for name in ("overrides", "resolutions") if old.get(name) != new.get(name)]
    changed = _table(old, "pnpm").get("overrides") != _table(new, "pnpm").get("overrides")
    return [*names, *(["pnpm.overrides"] if changed else [])]


def _local_tools(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    found = []
    for section in _DEPENDENCIES:
        had = _table(old, section)
        for name, version in _table(new, section).items():
            if str(version).startswith(_LOCAL) and had.get(name) != version and _TOOL.fullmatch(name):
                found.append(name)
    return found
