"""README against the code: its tables, links, commands and configuration."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from app.cli import main as command_line
from app.config_file import read_config_file
from app.domain.commands import Verb
from app.domain.policy import parse_policy
from app.settings import Settings
from tests.readme import README, ROOT, block, blocks, with_tables

TEXT = README.read_text()


def test_readme__tables_are_those_of_the_code() -> None:
    assert with_tables(TEXT) == TEXT, "run `python -m tests.readme`"


def test_readme__links_lead_somewhere() -> None:
    heads = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.+)$", TEXT, re.M)}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in heads, target
        else:
            assert target.startswith("https://") or (ROOT / target).exists(), target


def test_readme__every_command_and_option_exists() -> None:
    for line in re.findall(r"^mason ([^\n#]+)|`mason ([^`\n]+)`", TEXT, re.M):
        words = shlex.split((line[0] or line[1]).replace("…", ""))
        command = command_line.commands.get(words[0])
        if command is None:
            continue  # "mason / validator" and the like are names of check runs
        if isinstance(command, click.Group):
            command = command.commands[words[1]]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= known | {"--help"}, words


def test_readme__names_variables_that_are_read() -> None:
    known = {f"MASON_{name.upper()}" for name in Settings.model_fields}
    known |= {option.envvar for option in command_line.commands["web"].params if isinstance(option.envvar, str)}
    told_to_agents = {"MASON_ANSWER", "MASON_SCHEMA", "MASON_ROLE", "MASON_TASK", "MASON_ITERATION", "MASON_MODEL"}
    in_github = {"MASON_TOKEN"}  # a secret of the repository, which the workflow hands on
    assert set(re.findall(r"MASON_[A-Z_]+[A-Z]", TEXT)) <= known | told_to_agents | in_github


@pytest.mark.parametrize("text", [text for text in blocks("yaml") if "uses:" not in text])
def test_readme__policies_are_read(text: str) -> None:
    assert parse_policy(text.encode())


def test_readme__config_file_is_read(tmp_path: Path) -> None:
    (text,) = blocks("json")
    (tmp_path / "mason.config.json").write_text(text)
    found = read_config_file(tmp_path)
    assert found
    assert (found.url, found.key is not None) == ("https://abcdefghijklmnopqrst.supabase.co", True)


def test_readme__settings_of_the_web_app_are_read() -> None:
    lines = block("app").partition("<<'END'\n")[2].partition("\nEND")[0].splitlines()
    names = {line.partition("=")[0] for line in lines}
    assert names <= {f"MASON_{name.upper()}" for name in Settings.model_fields} | {"DATABASE_URL"}
    assert len(names) == len(lines) > 5


def test_readme__comments_are_all_there_are() -> None:
    told = set(re.findall(r"`/mason (\w+)", TEXT))
    assert told == {verb.value for verb in Verb}
