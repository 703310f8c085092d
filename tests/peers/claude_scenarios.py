"""A model that plays a developer for Mason's whole run: what it is asked is told from the first line of the prompt."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.fakes.model_api import Conversation, Reply, Text, Tokens, ToolUse, Turn

HEADINGS = {
    "verify": "# Does this problem still exist?",
    "re-evaluate": "# Is this item worth doing?",
    "patterns": "# Does this change follow the code around it?",
    "write-prd": "# Write the PRD",
    "request": "# A person asks",
}

ANSWER = "StructuredOutput"
"""The tool by which Claude Code takes an answer that has a form."""


def role_of(prompt: str) -> str:
    """``verify``, ``task 2.1``, ``fix 1`` and so on, from what Mason asks."""
    line = next((line for line in prompt.splitlines() if line.strip()), "")
    if task := re.match(r"# Task (\S+):", line):
        return f"task {task[1]}"
    if fix := re.match(r"# Fix iteration (\d+)", line):
        return f"fix {fix[1]}"
    return next((role for role, heading in HEADINGS.items() if line.startswith(heading)), "other")


def answer(**values: object) -> Turn:
    """A structured answer."""
    return Turn(ToolUse(ANSWER, values), tokens=Tokens(input=900, output=60))


def shell(command: str) -> Turn:
    return Turn(ToolUse("Bash", {"command": command, "description": "Do it"}), tokens=Tokens(input=1500, output=80))


def done(text: str = "Done.") -> Turn:
    return Turn(Text(text), tokens=Tokens(input=1600, output=30))


Play = Sequence[Reply] | Callable[[Conversation], Reply]

USUAL: Mapping[str, Play] = {
    "verify": [answer(decision="PROCEED", reason="it is there")],
    "patterns": [answer(violations=[], summary="as its neighbours")],
}


@dataclass
class Developer:
    """``plays`` is what it does by role, one reply for each of its answers; ``asked`` are the roles, in order."""

    plays: Mapping[str, Play]
    asked: list[str] = field(default_factory=list)
    prompts: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, conversation: Conversation) -> Reply:
        role = role_of(conversation.last_prompt)
        with self.lock:
            if conversation.turns_since_prompt == 0:
                self.asked.append(role)
                self.prompts[role] = conversation.last_prompt
        play = self.plays.get(role) or USUAL.get(role) or [done()]
        if callable(play):
            return play(conversation)
        return play[min(conversation.turns_since_prompt, len(play) - 1)]
