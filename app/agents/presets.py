"""The command agent's presets: programs that it knows how to call. Each is data; there is no code for one of them.

Words and values are `string.Template`s. What they may name: ``$prompt_file``, ``$schema`` and ``$answer`` (files; the
latter two only where a structured answer is wanted), ``$may_change`` (allow or deny), ``$model``, and with a model
proxy ``$openai_url`` and ``$anthropic_url``. What names something that is not there is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from string import Template

from app.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """How to call one program.

    ``options`` are groups of words that belong together; ``reading`` and ``writing`` come after them, as the role is.
    The prompt goes to standard input, unless some word names ``$prompt_file``. ``strict_schema``: the schema has to
    fit OpenAI's structured outputs.
    """

    program: str
    options: tuple[tuple[str, ...], ...]
    reading: tuple[str, ...] = ()
    writing: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    strict_schema: bool = False

    def arguments(self, values: Mapping[str, str], *, read_only: bool) -> list[str]:
        groups = (*self.options, self.reading if read_only else self.writing)
        return [word for group in groups for word in _filled(group, values)]

    def variables(self, values: Mapping[str, str]) -> dict[str, str]:
        return {name: word for name, given in self.environment.items() for word in _filled((given,), values)}

    @property
    def wants_file(self) -> bool:
        return any("prompt_file" in names for names in _names(word for group in self.options for word in group))


PRESETS: Mapping[str, Preset] = {
    # https://developers.openai.com/codex/noninteractive; a key reaches its API through the provider's env_key alone.
    "codex": Preset(
        program="codex",
        options=(
            ("exec", "--skip-git-repo-check", "--ephemeral", "--color", "never"),
            ("--ignore-user-config", "--ignore-rules", "-c", "project_doc_max_bytes=0", "-c", 'web_search="disabled"'),
            (
                *("-c", 'model_provider="mason"', "-c", 'model_providers.mason.name="Mason"'),
                *("-c", 'model_providers.mason.base_url="$openai_url"'),
                *("-c", 'model_providers.mason.env_key="OPENAI_API_KEY"'),
                *("-c", 'model_providers.mason.wire_api="responses"'),
            ),
            ("--model", "$model"),
            ("--output-schema", "$schema", "--output-last-message", "$answer"),
        ),
        reading=("--sandbox", "read-only"),
        writing=("--dangerously-bypass-approvals-and-sandbox",),
        strict_schema=True,
    ),
    # https://geminicli.com/docs/cli/headless; its API is not one that the model proxy speaks: pass GEMINI_API_KEY on.
    "gemini": Preset(
        program="gemini",
        options=(("--output-format", "text", "--skip-trust"), ("--model", "$model")),
        reading=("--approval-mode", "default"),
        writing=("--approval-mode", "yolo"),
        environment={"GEMINI_CLI_NO_RELAUNCH": "true", "NO_COLOR": "1"},
    ),
    # https://aider.chat/docs/config/options.html; it would read its settings from the repository.
    "aider": Preset(
        program="aider",
        options=(
            ("--config", "/dev/null", "--env-file", "/dev/null", "--message-file", "$prompt_file"),
            ("--yes-always", "--no-auto-commits", "--no-dirty-commits", "--no-gitignore", "--no-detect-urls"),
            ("--no-auto-lint", "--no-suggest-shell-commands", "--no-pretty", "--no-fancy-input", "--analytics-disable"),
            ("--no-check-update", "--no-show-release-notes", "--no-show-model-warnings"),
            ("--input-history-file", "/dev/null", "--chat-history-file", "/dev/null"),
            ("--model", "$model"),
        ),
        reading=("--chat-mode", "ask"),
        environment={"OPENAI_API_BASE": "$openai_url", "ANTHROPIC_API_BASE": "$anthropic_url"},
    ),
    # https://opencode.ai/docs/cli; its own settings come last of all and so win over the repository's.
    "opencode": Preset(
        program="opencode",
        options=(("run", "--title", "Mason"), ("--model", "$model")),
        environment={
            "OPENCODE_CONFIG_CONTENT": (
                '{"share":"disabled","provider":{"openai":{"options":{"baseURL":"$openai_url"}},'
                '"anthropic":{"options":{"baseURL":"$anthropic_url/v1"}}}}'
            ),
            "OPENCODE_PERMISSION": (
                '{"*":"allow","edit":"$may_change","bash":"$may_change","webfetch":"deny","question":"deny"}'
            ),
            "OPENCODE_DISABLE_PROJECT_CONFIG": "1",
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        },
    ),
}


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises UsageError when there is none."""
    if name not in PRESETS:
        raise UsageError(f"There is no preset “{name[:40]}”; choose one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def _filled(words: tuple[str, ...], values: Mapping[str, str]) -> list[str]:
    """The words with their values, none of them when a value is missing."""
    if any(names - values.keys() for names in _names(words)):
        return []
    return [Template(word).substitute(values) for word in words]


def _names(words: Iterable[str]) -> Iterator[set[str]]:
    return (set(Template(word).get_identifiers()) for word in words)
