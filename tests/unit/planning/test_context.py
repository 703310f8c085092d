"""Context from PRDs: target, sections, criteria and files."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.items import Item, ItemStatus
from app.domain.plans import Criterion
from app.planning.context import MAX_CRITERIA, MAX_FILES, SECTION_LIMIT, read_context

SEED = (Path(__file__).parent / "seed_prd.md").read_text()


def item(prd: str | None) -> Item:
    return Item(
        id=UUID(int=1),
        title="T",
        status=ItemStatus.APPROVED,
        problem="own problem",
        solution="own solution",
        evidence_summary="own evidence",
        prd=prd,
    )


def test_context__of_the_seeds_form() -> None:
    context = read_context(item(SEED))
    assert context.target == "src/components/Avatar.tsx:42"
    assert context.problem.startswith("People without a picture")
    assert context.solution.startswith("Draw the initials")
    assert "| src/lib/initials.ts |" in context.solution
    assert context.evidence == "Eleven of forty profiles have no picture."
    assert context.criteria == (
        Criterion(text="A profile without picture shows two letters"),
        Criterion(text="The header is unchanged", checked=True),
        Criterion(text="No new warnings"),
    )
    assert context.files == (
        "src/components/Avatar.tsx",
        "src/components/Header.tsx",
        "src/lib/initials.ts",
        "package.json",
    )
    assert context.amendment == ""


@pytest.mark.parametrize("prd", [None, "", "  \r\n ", "just words"])
def test_context__falls_back_on_the_items_own_fields(prd: str | None) -> None:
    context = read_context(item(prd))
    assert (context.problem, context.solution, context.evidence) == ("own problem", "own solution", "own evidence")
    assert context.target is None
    assert context.criteria == context.files == ()


@pytest.mark.parametrize(
    ("prd", "target"),
    [
        ("Target: src/a.ts:12", "src/a.ts:12"),
        ("**Target File**: `src/a.ts`", "src/a.ts"),
        ("- **File:** src/a.ts#L7", "src/a.ts:7"),
        ("see b.py:3\n\nFile: a.py", "a.py"),
        ("## Target\n\n`app/x.py:9`", "app/x.py:9"),
        ("| Field | Value |\n|---|---|\n| File | lib/x.rb:4 |", "lib/x.rb:4"),
        ("It breaks in (src/x/y.go:120), often; not in z.go:3.", "src/x/y.go:120"),
        ("one line of meta\nLocation: a/b.ts:1", "a/b.ts:1"),
        ("Target: all of our users", None),
        ("File: /etc/passwd:1", None),
        ("File: ../../x.py:1", None),
        ("at 12:30 and http://host:80/x.py:4", None),
        ("```\nTarget: src/a.ts:12\n```", None),
    ],
)
def test_context__target(prd: str, target: str | None) -> None:
    assert read_context(item(prd)).target == target


@pytest.mark.parametrize(
    ("prd", "files"),
    [
        ("`src/a.ts` and `src/a.ts` and `./src/b.ts:4`", ("src/a.ts", "src/b.ts")),
        ("[x](docs/guide%20one.md) [y](docs/two.md#part) [z](mailto:a@b.co)", ("docs/two.md",)),
        ("`app/(auth)/[id]/page.tsx` `@types/x.d.ts`", ("app/(auth)/[id]/page.tsx", "@types/x.d.ts")),
        ("`Makefile` `Dockerfile` `.gitignore` `.github/workflows/ci.yml` `bin/Makefile`", None),
        ("`src/components/` `src/**/*.ts`", ("src/components/", "src/**/*.ts")),
        ("`item.title` `foo()` `and/or` `application/json` `1.5` `e.g.` `a b.py`", ()),
        ("`/etc/passwd` `~/x.py` `../x.py` `a/../b.py` `.git/config` `a/.GIT/hooks/x.sh`", ()),
        ("`https://x.org/a.py` `example.com/a.html` `C:\\a.py` `s3://a/b.py`", ()),
        ("|a|b|\n|--|--|\n| lib/a.rs, | see (lib/b.rs) and `lib/c.rs:7` |", ("lib/a.rs", "lib/b.rs", "lib/c.rs")),
        ("```diff\n--- a/x/y.py\n+++ /dev/null\n```", ("x/y.py",)),
        ("```diff task=1.1\ndiff --git a/o.py b/n.py\nrename from o.py\nrename to n.py\n```", ("o.py", "n.py")),
        ("```python\nopen('src/a.py')\n```", ()),
        ("Files: src/a.py, src/b.py", ("src/a.py", "src/b.py")),
    ],
)
def test_context__files(prd: str, files: tuple[str, ...] | None) -> None:
    found = read_context(item(prd)).files
    if files is None:
        assert found == ("Makefile", "Dockerfile", ".gitignore", ".github/workflows/ci.yml", "bin/Makefile")
    else:
        assert found == files


def test_context__criteria_are_check_boxes_anywhere_and_lists_under_their_heading() -> None:
    before = "- plain\n- [ ] open\n\n"
    prd = before + "## Acceptance criteria\n\n1. one\n   - nested\n\n### More\n\n* [X] two\n\n## Risks\n\n- three\n"
    assert read_context(item(prd)).criteria == (
        Criterion(text="open"),
        Criterion(text="one"),
        Criterion(text="nested"),
        Criterion(text="two", checked=True),
    )


def test_context__a_section_ends_at_the_next_heading_of_its_rank() -> None:
    prd = "# T\n\n## 1. Problem\n\nbroken\n\n### Detail\n\nvery\n\n## 2. Solution Approach\n\nmend\n"
    context = read_context(item(prd))
    assert context.problem == "broken\n\n### Detail\n\nvery"
    assert context.solution == "mend"


def test_context__is_bounded() -> None:
    prd = "## Problem\n\n" + "p" * 20_000 + "\n\n" + "".join(f"- [ ] `f{n}.py`\n" for n in range(3_000))
    context = read_context(item(prd))
    assert len(context.problem) == SECTION_LIMIT
    assert len(context.criteria) == MAX_CRITERIA
    assert len(context.files) == MAX_FILES


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["## Problem", "- [ ] x", "`a/b.py`", "Target: a.py:1", "|a|b|\n|-|-|", "```diff\n+++ b/x", "```"]
        )
        | st.text(max_size=40),
        max_size=20,
    ).map("\n".join)
)
def test_context__of_any_text_never_raises_and_keeps_to_the_repository(prd: str) -> None:
    context = read_context(item(prd))
    assert context == read_context(item(prd))
    for path in context.files:
        assert not path.startswith(("/", "~"))
        assert ".." not in path.split("/")
        assert "://" not in path
