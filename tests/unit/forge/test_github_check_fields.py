"""A check run in a request, within GitHub's limits."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest

from app.domain.check_runs import ANNOTATION_LIMIT, TEXT_LIMIT, Button, CheckRun, Conclusion, Subject
from app.domain.results import Diagnostic, Severity
from app.forge.github.check_fields import annotations_of, fields

CHECK = CheckRun(
    name="mason / lint",
    commit="c" * 40,
    subject=Subject(run_id=UUID(int=1), item_id=UUID(int=2), pull_request=3),
    title="2 problems",
    summary="**Two** problems",
    text="```\nlog\n```",
    conclusion=Conclusion.FAILURE,
    buttons=tuple(Button),
)


def made(**changes: object) -> dict[str, object]:
    return fields(replace(CHECK, **changes), [], details_url="https://run.example/1", buttons=True)  # type: ignore[arg-type]


def test_fields__of_a_completed_check() -> None:
    asked = made()
    assert asked["external_id"] == f"mason:{UUID(int=1)}:{UUID(int=2)}:3"
    assert (asked["status"], asked["conclusion"]) == ("completed", "failure")
    assert asked["details_url"] == "https://run.example/1"
    assert [action["identifier"] for action in asked["actions"]] == ["retry", "fix", "cancel"]  # type: ignore[attr-defined]
    for action in asked["actions"]:  # type: ignore[attr-defined]
        assert len(action["label"]) <= 20 and len(action["description"]) <= 40 and len(action["identifier"]) <= 20


def test_fields__of_one_in_progress() -> None:
    asked = made(conclusion=None, text="")
    assert asked["status"] == "in_progress" and "conclusion" not in asked
    assert "text" not in asked["output"]  # type: ignore[operator]


def test_fields__no_buttons_without_the_web_app() -> None:
    asked = fields(CHECK, [], details_url="", buttons=False)
    assert asked["actions"] == [] and "details_url" not in asked


def test_fields__texts_are_cut_and_clean() -> None:
    log = "```\n" + "\U0001f600\x1b[31m\ud800" * 40_000 + "the end\n```"
    output = made(title="t\n" * 400, summary="s" * 70_000, text=log)["output"]
    assert isinstance(output, dict)
    assert len(output["title"]) <= 255 and "\n" not in output["title"]
    assert len(output["summary"]) == TEXT_LIMIT
    assert len(output["text"]) == TEXT_LIMIT and output["text"].endswith("the end\n```")
    assert output["text"].startswith("```\n")
    text = json.dumps(output, ensure_ascii=False)
    text.encode()
    assert "\x1b" not in text


def test_fields__nothing_is_empty() -> None:
    output = made(title="", summary="", text="")["output"]
    assert output == {"title": "mason / lint", "summary": "mason / lint"}


def annotated(*diagnostics: Diagnostic) -> list[dict[str, object]]:
    return annotations_of(replace(CHECK, diagnostics=diagnostics))


def test_annotations__levels_and_places() -> None:
    found = annotated(
        Diagnostic(path="a.py", line=3, column=7, message="bad", code="E501"),
        Diagnostic(path="./b c.py", line=0, column=2, message="worse", severity=Severity.WARNING),
        Diagnostic(path="d.py", line=4, message="", severity=Severity.NOTE),
    )
    assert found == [
        {
            "path": "a.py",
            "start_line": 3,
            "end_line": 3,
            "annotation_level": "failure",
            "message": "bad",
            "start_column": 7,
            "end_column": 7,
            "title": "E501",
        },
        {"path": "b c.py", "start_line": 1, "end_line": 1, "annotation_level": "warning", "message": "worse"},
        {"path": "d.py", "start_line": 4, "end_line": 4, "annotation_level": "notice", "message": "(no message)"},
    ]


@pytest.mark.parametrize("path", ["", ".", "/etc/passwd", "../x", "a/../../x", "a\udc80b", "a\nb", "a\x1bb"])
def test_annotations__places_that_github_cannot_show(path: str) -> None:
    assert annotated(Diagnostic(path=path, line=1, message="m")) == []


def test_annotations__are_bounded() -> None:
    found = annotated(
        *(Diagnostic(path="a", line=n, message="é\x00\ud800" * 50_000, code="c" * 999) for n in range(500))
    )
    assert len(found) == ANNOTATION_LIMIT
    assert len(str(found[0]["message"]).encode()) <= 64_000 and len(str(found[0]["title"])) == 255
