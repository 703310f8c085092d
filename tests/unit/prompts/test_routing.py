"""Which instructions an item gets."""

from __future__ import annotations

import pytest

from app.prompts.routing import DOMAINS, INSTRUCTIONS_LIMIT, domain_of, instructions


@pytest.mark.parametrize("domain", DOMAINS)
def test_domain__the_eight_types_are_their_own(domain: str) -> None:
    assert domain_of(domain) == domain
    assert domain_of(f" {domain.upper().replace('-', '_')} ") == domain


@pytest.mark.parametrize(
    ("old", "domain"),
    [
        ("dashboard", "ui"),
        ("discovery", "code-quality"),
        ("auth", "security"),
        ("backend", "api"),
        ("refactor", "code-quality"),
        ("optimization", "performance"),
        ("fix", "general"),
        ("", "general"),
        ("../../etc/passwd", "general"),
        ("x" * 1_000_000, "general"),
    ],
)
def test_domain__of_older_and_unknown_types(old: str, domain: str) -> None:
    assert domain_of(old) == domain


def test_instructions__the_repositorys_own_win() -> None:
    asked: list[str] = []

    def read(path: str) -> bytes | None:
        asked.append(path)
        return b"\xef\xbb\xbf# Ours\r\n"

    assert instructions("code_quality", read) == "# Ours"
    assert asked == [".claude/agents/execute-code-quality-agent.md"]


@pytest.mark.parametrize("own", [None, b"", b" \n\t", b"\x00"])
def test_instructions__nothing_of_the_repositorys_gives_masons(own: bytes | None) -> None:
    assert "smallest change" in instructions("feature", lambda _: own)


def test_instructions__an_unknown_type_asks_the_repository_nothing() -> None:
    def read(path: str) -> bytes | None:
        raise AssertionError(path)

    assert "smallest change" in instructions("fix", read)


def test_instructions__are_bounded() -> None:
    assert len(instructions("ui", lambda _: b"x" * 1_000_000)) == INSTRUCTIONS_LIMIT
    assert "\ufffd" not in instructions("ui", lambda _: "é".encode() * 100_000)


def test_instructions__a_long_one_says_that_it_was_cut() -> None:
    text = instructions("ui", lambda _: b"# Ours\n" + b"word " * 300_000)
    assert text.startswith("# Ours\nword")
    assert text.endswith("(Cut here: .claude/agents/execute-ui-agent.md is longer than 65536 bytes.)")
    assert "Cut here" not in instructions("ui", lambda _: b"word " * 1_000)


@pytest.mark.parametrize(
    "own",
    [
        b"\x7fELF\x00\x01",
        bytes(range(128, 256)) * 40,
        "UTF-16".encode("utf-16"),
        b"\xef\xbb\xbf",
        "\u200b\u2060".encode(),
    ],
)
def test_instructions__what_is_no_text_gives_masons(own: bytes) -> None:
    assert instructions("ui", lambda _: own).startswith("You change what people see")


def test_instructions__lose_what_nobody_sees_and_keep_comments() -> None:
    own = "# Ours\u202e\n<!-- for maintainers -->\ncaf\u00e9".encode()
    assert instructions("ui", lambda _: own) == "# Ours\n<!-- for maintainers -->\ncaf\u00e9"
    assert (
        instructions("ui", lambda _: "Use the caf\u00e9 tokens, please".encode("latin-1"))
        == "Use the caf tokens, please"
    )


def test_instructions__a_fence_that_the_cut_left_open_is_closed() -> None:
    text = instructions("ui", lambda _: b"```ts\n" + b"x" * 100_000)
    assert "\n```\n\n(Cut here" in text
