"""README's tables of settings and of the Action's inputs and outputs, made from the code.

``python -m tests.readme`` writes them; a test compares.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import yaml

from app.cli import main as command_line
from app.settings import Settings

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def settings_tables() -> str:
    """A table for each group of settings, in the order of the code; where web servers listen comes from the command."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for name, field in Settings.model_fields.items():
        extra: Any = field.json_schema_extra
        shown = extra["shown"] or _shown(field.default)
        groups.setdefault(extra["group"], []).append((f"MASON_{name.upper()}", field.description or "", shown))
    command = command_line.commands["web"]
    for option in command.params:
        if isinstance(option, click.Option) and isinstance(option.envvar, str):
            means = f"as `{option.opts[0]}` of `mason serve` and `mason web`"
            groups["The web app"].append((option.envvar, means, _shown(option.default)))
    return "\n\n".join(
        f"**{group}**\n\n{table(('variable', 'meaning', 'default'), rows)}" for group, rows in groups.items()
    )


def action_tables() -> str:
    """The inputs and outputs of `action.yml`."""
    document = yaml.safe_load((ROOT / "action.yml").read_text())
    inputs = [
        (name, one["description"].strip(), _shown(one.get("default", ""))) for name, one in document["inputs"].items()
    ]
    outputs = [(name, one["description"].strip()) for name, one in document["outputs"].items()]
    return f"{table(('input', 'meaning', 'default'), inputs)}\n\n{table(('output', 'meaning'), outputs)}"


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table of Markdown whose first column is code."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for first, *rest in rows:
        lines.append(
            "| " + " | ".join([f"`{first}`", *(" ".join(cell.split()).replace("|", "\\|") for cell in rest)]) + " |"
        )
    return "\n".join(lines)


def _shown(default: object) -> str:
    match default:
        case None | "" | False:
            return "none" if default is None else ""
        case float() if default.is_integer():
            return f"`{int(default)}`"
    return f"`{default}`"


def with_tables(text: str) -> str:
    for name, tables in (("settings", settings_tables()), ("action", action_tables())):
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, found = between.subn(lambda match, new=tables: f"{match[1]}\n{new}\n\n{match[2]}", text)  # type: ignore[misc]
        assert found == 1, f"README has no place for {name}"
    return text


def block(name: str) -> str:
    """The code block behind the comment ``test: name``."""
    place = rf"<!-- test: {name} -->\n(`{{3,}})\w+\n(.*?)^\1$"
    found = re.search(place, README.read_text(), re.DOTALL | re.MULTILINE)
    assert found, f"README has no example {name}"
    return found[2]


def blocks(language: str) -> list[str]:
    """Every code block in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
