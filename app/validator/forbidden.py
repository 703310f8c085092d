"""What no item may change by the way: protected paths, secrets, links out of the repository, submodules.

Of these, a PRD may allow a protected path, a file with a secret's name or a submodule, by naming its exact path. A
link out of the repository and anything inside a ``.git`` it cannot allow.
"""

from __future__ import annotations

import posixpath
import re
import sys
import unicodedata

from app.ports.workspace import Change, ChangeKind, FileKind
from app.validator.globs import matches

PROTECTED = (
    ".github/**",
    ".gitattributes",
    ".gitmodules",
    "mason.config.json",
    ".gitlab-ci.yml",
    ".circleci/**",
    ".buildkite/**",
    "azure-pipelines.yml",
    "Jenkinsfile",
)
"""Mason's own configuration, git's, and what a CI service would run; ``protected`` of the policy adds to it."""

GATE_CONFIGURATION = (
    ".eslintrc*",
    "eslint.config.*",
    ".eslintignore",
    "biome.json*",
    "tsconfig*.json",
    "jest.config.*",
    "vitest.config.*",
    "playwright.config.*",
    "ruff.toml",
    ".ruff.toml",
    "mypy.ini",
    ".mypy.ini",
    "pyrightconfig.json",
    "pytest.ini",
    "tox.ini",
    "setup.cfg",
    ".golangci.*",
    "clippy.toml",
    ".clippy.toml",
    ".cargo/**",
    "rust-toolchain*",
    "Makefile",
    "GNUmakefile",
    "vite.config.*",
    "babel.config.*",
    ".babelrc*",
    ".mocharc*",
    ".flake8",
    ".coveragerc",
    "conftest.py",
    "pnpm-workspace.yaml",
    ".pnpmfile.cjs",
    ".yarnrc*",
    "bunfig.toml",
    "go.work",
    "vitest.workspace.*",
    "vitest.setup.*",
    "jest.setup.*",
    "setupTests.*",
    "next.config.*",
    ".swcrc",
    ".oxlintrc.json",
    "tslint.json",
    ".importlinter",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "uv.toml",
    "build.rs",
    ".config/nextest.toml",
    ".tool-versions",
    ".nvmrc",
    ".node-version",
    ".python-version",
    "mise.toml",
    ".mise.toml",
    "*.pth",
    "**/*.dist-info/**",
    "**/*.egg-info/**",
    *(f"/{module}.py" for module in ("pytest", "unittest", "mypy", "build", "sitecustomize", "usercustomize")),
    *(f"/{package}/**" for package in ("pytest", "_pytest", "unittest", "mypy")),
)
"""Files that decide what the checks find (design, Trust: a change that weakens the gate).

``python3 -m`` looks into the tree first: a ``pytest.py`` at its root would be run in place of the real one.
"""

_IMPORTED_BY_CHECKS = frozenset(
    {
        *sys.stdlib_module_names,
        *("pytest", "_pytest", "mypy", "sitecustomize", "usercustomize"),
        *(
            "pluggy",
            "iniconfig",
            "packaging",
            "pygments",
            "exceptiongroup",
            "tomli",
            "py",
            "colorama",
            "xdist",
            "execnet",
        ),
        *("pytest_cov", "pytest_asyncio", "pytest_mock", "anyio", "hypothesis", "coverage", "attr", "attrs", "mypyc"),
        *("mypy_extensions", "typing_extensions", "pathspec", "librt", "ruff", "flake8", "pycodestyle", "pyflakes"),
        *("mccabe", "pylint", "astroid", "pyproject_hooks", "setuptools", "pkg_resources", "wheel", "pip"),
    }
)
"""Modules that ``python3 -m`` and what it runs would take from the root, or from ``src``, if they were there."""

_MODULE = re.compile(r"(?:src/)?(\w{1,100})(?:/__init__)?(?:\.[\w-]{1,100})?\.(?:py|pyc|so|pyd)")

SECRETS = (
    ".env",
    ".env.*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "credentials*.json",
    "service-account*.json",
    ".npmrc",
    ".pypirc",
    ".netrc",
    ".pgpass",
    ".git-credentials",
    ".aws/credentials",
)
"""Names that keys and passwords go by. What stands inside a file is another tier's business."""

HARMLESS = (".env.example", ".env.sample", ".env.template", ".env.dist", ".env.*.example")


def never_allowed(change: Change) -> str:
    """Why no PRD can allow this change; empty when one could."""
    if any(_is_git(part) for part in change.path.split("/")):
        return "lies inside a .git directory"
    if change.file is FileKind.SYMLINK and change.kind is not ChangeKind.DELETED:
        return _link_problem(change.path, change.target)
    return ""


def allowed_only_by_name(change: Change, protected: tuple[str, ...]) -> str:
    """Why this change needs its exact path in the PRD; empty when it does not."""
    if change.file is FileKind.SUBMODULE:
        return "is a submodule"
    if any(matches(change.path, pattern) for pattern in (*PROTECTED, *protected)):
        return "is a protected path"
    if change.kind is not ChangeKind.DELETED and _looks_secret(change.path):
        return "has the name of a file with secrets"
    if any(matches(change.path, pattern) for pattern in GATE_CONFIGURATION):
        return "decides what the checks find"
    if change.kind is ChangeKind.ADDED and _shadows(change.path):
        return "would be imported by the checks in place of a module that they need"
    return ""


def _shadows(path: str) -> bool:
    """A module at the root that has the name of another. A directory without ``__init__`` stands behind the other."""
    module = _MODULE.fullmatch(path)
    return module is not None and module[1] in _IMPORTED_BY_CHECKS


def _looks_secret(path: str) -> bool:
    return any(matches(path, p) for p in SECRETS) and not any(matches(path, p) for p in HARMLESS)


def _is_git(part: str) -> bool:
    """``.git`` as any file system may read it: case, ignorable characters, trailing dots and blanks, 8.3 names."""
    plain = "".join(char for char in part if unicodedata.category(char) != "Cf").casefold()
    return plain.partition(":")[0].rstrip(" .") in (".git", "git~1")


def _link_problem(path: str, target: str | None) -> str:
    if not target:
        return "is a symbolic link whose target is unknown"
    if target.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", target):
        return f"is a symbolic link to an absolute path ({target!r})"
    parts = target.replace("\\", "/").split("/")
    climbs = next((i for i, part in enumerate(parts) if part not in ("..", ".", "")), len(parts))
    # "a/.." may lead anywhere when a is itself a link, so only leading ".." can be judged.
    if ".." in parts[climbs:] or posixpath.normpath(posixpath.join(posixpath.dirname(path), *parts)).startswith(".."):
        return f"is a symbolic link that leaves the repository ({target!r})"
    if any(_is_git(part) for part in parts):
        return f"is a symbolic link into a .git directory ({target!r})"
    return ""
