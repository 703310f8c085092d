"""Comments into commands: the table of what counts, and that nothing at all makes the parser fail."""

from __future__ import annotations

import random
import unicodedata
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.commands.comment import COMMENT_LIMIT, INSTRUCTIONS_LIMIT, REASON_LIMIT, mentions, parse_comment
from app.domain.commands import (
    MOST_COMMANDS,
    USAGES,
    ApproveCommand,
    CancelCommand,
    Command,
    DeferCommand,
    FixCommand,
    HelpCommand,
    Mistake,
    RetryCommand,
    RunCommand,
    StatusCommand,
    ValidateCommand,
    Verb,
)
from tests.unit.commands.comments import ID, PIECES, comment

ITEM = UUID(ID)
OTHER = UUID("11111111-2222-3333-4444-555555555555")
RUN, STATUS = RunCommand(), StatusCommand()


def unknown(word: str, nearest: Verb | None = None) -> Mistake:
    return Mistake(reason=f"I do not know “{word}”.", nearest=nearest)


def wrong(reason: str) -> Mistake:
    return Mistake(reason=f"/mason {reason}")


VERBS: dict[str, tuple[str, Command | Mistake]] = {
    "run": ("/mason run", RUN),
    "run-all-options": (
        f"/mason run --item {ID} --limit 3 --dry-run --smoke-test --e2e --auto",
        RunCommand(items=(ITEM,), limit=3, dry_run=True, smoke_test=True, e2e=True),
    ),
    "run-item-equals": (f"/mason run --item={ID}", RunCommand(items=(ITEM,))),
    "run-items": (f"/mason run --item {ID} --item={OTHER}", RunCommand(items=(ITEM, OTHER))),
    "run-item-twice": (f"/mason run --item {ID} --item={ID}", RunCommand(items=(ITEM,))),
    "run-item-upper-case": (f"/mason run --item {ID.upper()}", RunCommand(items=(ITEM,))),
    "run-limit-equals": ("/mason run --limit=7", RunCommand(limit=7)),
    "run-limit-last-counts": ("/mason run --limit 1 --limit 2", RunCommand(limit=2)),
    "run-limit-most": ("/mason run --limit 256", RunCommand(limit=256)),
    "run-option-upper-case": ("/mason run --Dry-Run", RunCommand(dry_run=True)),
    "run-auto": ("/mason run --auto", RUN),
    "execute-approved": ("/execute-approved", RUN),
    "execute-approved-options": ("/execute-approved --limit 2 --e2e", RunCommand(limit=2, e2e=True)),
    "execute-approved-case": ("/Execute-Approved", RUN),
    "fix": ("/mason fix", FixCommand()),
    "fix-words": ("/mason fix please rename x", FixCommand(instructions="please rename x")),
    "fix-raw": ("/mason fix use `a  b` & **c** <d>", FixCommand(instructions="use `a  b` & **c** <d>")),
    "fix-looks-like-options": ("/mason fix --dry-run", FixCommand(instructions="--dry-run")),
    "fix-paragraph": ("/mason fix this\nand that", FixCommand(instructions="this\nand that")),
    "fix-below-only": ("/mason fix\nrename x", FixCommand(instructions="rename x")),
    "fix-not-the-next-paragraph": ("/mason fix this\n\nnot this", FixCommand(instructions="this")),
    "fix-list": ("/mason fix:\n- a", unknown("fix:", Verb.FIX)),
    "fix-list-below": ("/mason fix these\n- a\n- b\n\nnot this", FixCommand(instructions="these\n- a\n- b")),
    "fix-not-the-code-below": ("/mason fix this\n```\nx\n```", FixCommand(instructions="this")),
    "fix-mentions-mason": (
        "/mason fix as `x\n/mason run\n` says",
        FixCommand(instructions="as `x\n/mason run\n` says"),
    ),
    "fix-invisible": ("/mason fix a\u200bb\u202ec\x1b\x07d\ufeff", FixCommand(instructions="abcd")),
    "fix-separators": ("/mason fix a\u2028b\x0bc\td", FixCommand(instructions="a b c d")),
    "fix-nul-surrogate": ("/mason fix a\0b\ud800", FixCommand(instructions="a\ufffdb?")),
    "retry": ("/mason retry", RetryCommand()),
    "validate": ("/mason validate", ValidateCommand()),
    "cancel": ("/mason cancel", CancelCommand()),
    "status": ("/mason status", STATUS),
    "approve": (f"/mason approve {ID}", ApproveCommand(item=ITEM)),
    "defer": (f"/mason defer {ID}", DeferCommand(item=ITEM)),
    "defer-reason": (f"/mason defer {ID} not  this week", DeferCommand(item=ITEM, reason="not this week")),
    "defer-reason-of-one-line": (f"/mason defer {ID} no\nreally", DeferCommand(item=ITEM, reason="no")),
    "help": ("/mason help", HelpCommand()),
    "alone": ("/mason", HelpCommand()),
    "alone-spaces": ("/mason   ", HelpCommand()),
    "verb-case": ("/Mason STATUS", STATUS),
    "tabs-and-wide-spaces": ("/mason\t \u00a0status\u3000", STATUS),
    "zero-width-around-the-verb": ("/mason \u200bstatus\u200b", STATUS),
    "line-end-crlf": ("hello\r\n/mason status\r\n", STATUS),
    "line-end-cr": ("hello\r/mason status\r", STATUS),
    "byte-order-mark-inside": ("x\n/mason\ufeff status\n/mason status", STATUS),
    "indented-by-three": ("   /mason status", STATUS),
    "in-a-paragraph": ("Thanks!\n/mason status\nBye", STATUS),
    "after-a-list": ("- a\n- b\n/mason status", STATUS),
    "in-a-list-item": ("- a\n  /mason status", STATUS),
    "after-a-definition": ("[a]: /b\n/mason status", STATUS),
    "after-an-open-bracket": ("[a\n/mason status", STATUS),
    "after-an-open-tick": ("a ` b\n/mason status", STATUS),
    "after-an-open-comment-in-text": ("a <!-- b\n/mason status", STATUS),
    "after-a-comment": ("<!-- a -->\n\n/mason status", STATUS),
    "after-a-fence": ("```\n/mason run\n```\n/mason status", STATUS),
    "after-a-heading": ("# a\n/mason status", STATUS),
    "after-a-quote": ("> /mason run\n\n/mason status", STATUS),
    "in-emphasis": ("**a\n/mason status\nb**", STATUS),
    "private-characters": ("\ue0000\ue000\n/mason status", STATUS),
}
MISTAKES: dict[str, tuple[str, Mistake]] = {
    "unknown-near": ("/mason stauts", unknown("stauts", Verb.STATUS)),
    "unknown-near-with-a-stop": ("/mason help.", unknown("help.", Verb.HELP)),
    "unknown-far": ("/mason please", unknown("please")),
    "unknown-long": ("/mason " + "x" * 100, unknown("x" * 39 + "…")),
    "unknown-id": (f"/mason {ID}", unknown(ID)),
    "unknown-option": ("/mason run --dryrun", wrong("run has no option “--dryrun”; did you mean --dry-run?")),
    "unknown-option-far": ("/mason run --zzz", wrong("run has no option “--zzz”.")),
    "unknown-option-alias": (
        "/execute-approved --smoke",
        wrong("run has no option “--smoke”; did you mean --smoke-test?"),
    ),
    "run-words": ("/mason run everything", wrong("run takes only options, and “everything” is none.")),
    "run-bare-id": (f"/mason run {ID}", wrong(f"run takes an item as --item {ID}.")),
    "run-item-missing": ("/mason run --item", wrong("run needs a value after --item: --item ID.")),
    "run-item-empty": ("/mason run --item=", wrong("run needs a value after --item: --item ID.")),
    "run-item-then-option": ("/mason run --item --e2e", wrong("run needs a value after --item: --item ID.")),
    "run-item-bad": ("/mason run --item 12", wrong("run needs the id of an item, and “12” is none.")),
    "run-item-braces": (
        f"/mason run --item {{{OTHER}}}",
        wrong("run needs the id of an item, and “{11111111-2222-3333-4444-555555555555}” is none."),
    ),
    "run-limit-none": ("/mason run --limit 0", wrong("run takes a --limit from 1 to 256, and “0” is none.")),
    "run-limit-many": ("/mason run --limit 257", wrong("run takes a --limit from 1 to 256, and “257” is none.")),
    "run-limit-negative": ("/mason run --limit -1", wrong("run takes a --limit from 1 to 256, and “-1” is none.")),
    "run-limit-huge": (
        "/mason run --limit " + "9" * 5000,
        wrong("run takes a --limit from 1 to 256, and “" + "9" * 39 + "…” is none."),
    ),
    "run-limit-other-digits": ("/mason run --limit ٣", wrong("run takes a --limit from 1 to 256, and “٣” is none.")),
    "run-flag-with-a-value": ("/mason run --e2e=yes", wrong("run takes no value for --e2e.")),
    "approve-nothing": ("/mason approve", wrong("approve needs the id of an item.")),
    "approve-bad": ("/mason approve it", wrong("approve needs the id of an item, and “it” is none.")),
    "approve-more": (f"/mason approve {ID} please", wrong("approve takes nothing more, and “please” follows.")),
    "defer-nothing": ("/mason defer", wrong("defer needs the id of an item.")),
    "status-more": ("/mason status please", wrong("status takes nothing more, and “please” follows.")),
    "cancel-more": ("/mason cancel run 3", wrong("cancel takes nothing more, and “run 3” follows.")),
    "fix-too-long": ("/mason fix " + "x" * 8001, wrong("fix takes at most 8,000 characters of instructions.")),
}
NOTHING: dict[str, str] = {
    "empty": "",
    "talk": "I'd retry this",
    "inside-a-line": "please /mason fix",
    "a-longer-name": "/masonry",
    "a-name-with-a-dash": "/mason-fix",
    "a-path": "/mason/run",
    "a-name-with-a-stop": "/mason, run",
    "another-longer-name": "/execute-approved-items",
    "no-slash": "mason run",
    "a-mention": "@mason run",
    "escaped": "\\/mason run",
    "entity": "&#47;mason run",
    "zero-width-in-the-name": "/ma\u200bson run",
    "bold": "**/mason run**",
    "indented-code": "    /mason run",
    "indented-by-a-tab": "\t/mason run",
    "fence": "```\n/mason run\n```",
    "fence-without-end": "~~~\n/mason run",
    "fence-in-a-list": "- a\n  ```\n  /mason run\n  ```",
    "code-span": "`/mason run`",
    "code-span-over-lines": "a ``\n/mason run\n`` b",
    "quote": "> /mason run",
    "quote-lazy": "> a\n/mason run",
    "quote-in-a-list": "- > a\n/mason run",
    "comment": "<!--\n/mason run\n-->",
    "comment-without-end": "<!--\n/mason run",
    "comment-with-blank-line": "<!-- a\n\n/mason run\n\n-->",
    "comment-in-text": "a <!--\n/mason run\n--> b",
    "html-block": "<details>\n/mason run\n</details>",
    "html-tag": "a <b title='\n/mason run\n'> c",
    "instruction": "a <?\n/mason run\n?>",
    "link": "[a\n/mason run\n](https://x.example)",
    "link-title": "[a](https://x.example '\n/mason run\n')",
    "link-by-reference": "[a\n/mason run\n][x]\n\n[x]: https://x.example",
    "image": "![a\n/mason run\n](https://x.example/a.png)",
    "definition-title": "[x]: https://x.example '\n/mason run\n'",
    "heading": "# /mason run",
    "heading-underlined": "/mason run\n---",
    "table-head": "/mason run | a\n--- | ---\n",
    "table-row": "| a | b |\n| - | - |\n/mason run",
    "list-marker": "- /mason run",
    "task": "- [ ] /mason run",
    "separator-is-no-line-end": "a\u2028/mason run",
    "form-feed-is-no-line-end": "a\x0c/mason run",
    "wide-space-before": "\u3000/mason run",
    "too-long": "/mason run\n" + "x" * COMMENT_LIMIT,
}


@pytest.mark.parametrize(("body", "asked"), [pytest.param(*case, id=name) for name, case in (VERBS | MISTAKES).items()])
def test_comment__one_command(body: str, asked: Command | Mistake) -> None:
    found = parse_comment(body)
    assert [line.asked for line in found] == [asked]
    assert mentions(body)


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in NOTHING.items()])
def test_comment__nothing_for_mason(body: str) -> None:
    assert parse_comment(body) == ()


def test_comment__several_commands_with_their_lines() -> None:
    found = parse_comment(
        "Hello\r\n\r\n  /mason fix a\r\nb\r\n/mason status\r\n```\r\n/mason run\r\n```\r\n/mason hlep"
    )
    assert [(line.number, line.text) for line in found] == [
        (3, "/mason fix a"),
        (5, "/mason status"),
        (9, "/mason hlep"),
    ]
    assert [line.asked for line in found] == [FixCommand(instructions="a\nb"), STATUS, unknown("hlep", Verb.HELP)]


def test_comment__the_eleventh_and_later_are_one_mistake() -> None:
    exactly = parse_comment("/mason status\n" * MOST_COMMANDS)
    assert [line.asked for line in exactly] == [STATUS] * MOST_COMMANDS
    more = parse_comment("/mason status\n" * (MOST_COMMANDS + 3))
    assert [line.asked for line in more[:-1]] == [STATUS] * MOST_COMMANDS
    assert more[-1].number == MOST_COMMANDS + 1
    assert more[-1].asked == Mistake(reason="I read 10 commands of a comment; 3 more were left out.")


def test_comment__as_long_as_github_takes_is_read() -> None:
    body = "/mason status\n"
    assert [line.asked for line in parse_comment(body + "x" * (COMMENT_LIMIT - len(body)))] == [STATUS]


def test_comment__lengths_are_bounded() -> None:
    (fix,) = parse_comment("/mason fix " + "x" * INSTRUCTIONS_LIMIT)
    assert fix.asked == FixCommand(instructions="x" * INSTRUCTIONS_LIMIT)
    assert len(fix.text) <= 200
    (defer,) = parse_comment(f"/mason defer {ID} " + "y" * 5000)
    assert isinstance(defer.asked, DeferCommand) and len(defer.asked.reason) == REASON_LIMIT


def test_comment__too_many_items_of_one_run() -> None:
    (line,) = parse_comment("/mason run " + " ".join(f"--item {UUID(int=number)}" for number in range(257)))
    assert line.asked == wrong("run takes at most 256 items.")


@pytest.mark.parametrize("verb", list(Verb))
def test_comment__every_verb_of_the_table_is_understood(verb: Verb) -> None:
    assert verb in USAGES
    (line,) = parse_comment(f"/mason {verb.value}")
    if "ID" not in USAGES[verb].arguments.split():
        assert not isinstance(line.asked, Mistake)


def test_mentions__lets_talk_pass() -> None:
    assert not mentions("Looks good to me, mason is great")
    assert mentions("x /MaSoN") and mentions("/Execute-approved")


def harmless(body: str) -> None:
    found = parse_comment(body)
    assert len(found) <= MOST_COMMANDS + 1
    assert not found or mentions(body)
    assert [line.number for line in found] == sorted({line.number for line in found})
    for line in found:
        words = [line.text]
        match line.asked:
            case FixCommand(instructions=text):
                words += text.split("\n")
            case DeferCommand(reason=text) | Mistake(reason=text):
                words.append(text)
            case RunCommand(limit=limit):
                assert limit is None or 1 <= limit <= 256
        assert all(unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp") for text in words for char in text)
        assert not {"\u200b", "\u202e", "\u2028"} & set("".join(words))


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_comment__fuzz_of_pieces(body: str) -> None:
    harmless(body)


@settings(max_examples=1000, deadline=None)
@given(st.text(st.characters(), max_size=200), st.text(st.characters(), max_size=50))
def test_comment__fuzz_of_characters(before: str, after: str) -> None:
    harmless(f"{before}\n/mason {after}")


def test_comment__fuzz_as_in_the_benchmark() -> None:
    chance = random.Random(7)
    for _ in range(2000):
        harmless(comment(chance))
