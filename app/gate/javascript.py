"""JavaScript and TypeScript: the package manager by its lock file, the checks by the scripts of package.json."""

from __future__ import annotations

import re
from posixpath import dirname, join

from app.domain.results import CheckKind
from app.gate.repository import Repository, at, strings, table
from app.gate.steps import Check, InstallStep, Words

_LOCKS = {
    "pnpm-lock.yaml": "pnpm",
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
}
_CONFIGURATION = (
    *(".npmrc", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml", ".pnpmfile.cjs", "bunfig.toml"),
    *(".node-version", ".nvmrc"),
)
_SCRIPTS = {
    CheckKind.TYPECHECK: ("typecheck", "type-check", "types:check", "check-types"),
    CheckKind.LINT: ("lint",),
    CheckKind.BUILD: ("build",),
    CheckKind.TEST: ("test", "test:unit"),
    CheckKind.E2E: ("e2e", "test:e2e"),
}
_FIX_SCRIPTS = ("lint:fix", "lint-fix", "fix:lint")
_LIFECYCLE = ("preinstall", "install", "postinstall", "prepare")
_ESLINT_CONFIG = re.compile(r"(eslint\.config\.(js|mjs|cjs|ts|mts|cts)|\.eslintrc(\.(js|cjs|json|ya?ml))?)")


def detect(repository: Repository) -> tuple[InstallStep | None, tuple[Check, ...]] | None:
    """A package at the root; packages of its workspaces are installed and checked through it."""
    if not repository.has("package.json"):
        return None
    package = repository.json("package.json")
    manager = _manager(repository, package)
    scripts = {name: text for name, text in table(package.get("scripts")).items() if isinstance(text, str)}
    checks = [
        Check(kind=kind, command=(manager, "run", name), autofix=_fix(manager, scripts, name, kind))
        for kind, names in _SCRIPTS.items()
        if (name := next((name for name in names if _is_check(scripts.get(name, ""))), None))
    ]
    kinds = {check.kind for check in checks}
    if CheckKind.TYPECHECK not in kinds and (command := _tsc(repository, package, manager)):
        checks.append(Check(kind=CheckKind.TYPECHECK, command=command))
    if CheckKind.LINT not in kinds and (command := _eslint(repository, package, manager)):
        checks.append(Check(kind=CheckKind.LINT, command=command, autofix=(*command, "--fix")))
    return _install(repository, package, manager, scripts), tuple(checks)


def dependencies(package: dict[str, object]) -> frozenset[str]:
    """The names of every package that a package.json declares."""
    fields = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")
    return frozenset(name for field in fields for name in table(package.get(field)))


def workspaces(repository: Repository) -> list[str]:
    """The directories, besides the root, that may hold a workspace's package.json."""
    declared = at(repository.json("package.json"), "workspaces") or repository.has("pnpm-workspace.yaml")
    if not declared:
        return []
    manifests = (path for path in repository.paths if path.endswith("/package.json") and "node_modules/" not in path)
    return sorted(dirname(path) for path in manifests)


def _manager(repository: Repository, package: dict[str, object]) -> str:
    if lock := repository.first(*_LOCKS):
        return _LOCKS[lock]
    declared = package.get("packageManager")
    name = declared.partition("@")[0] if isinstance(declared, str) else ""
    return name if name in _LOCKS.values() else "npm"


def _is_check(script: str) -> bool:
    """Whether a script does anything: ``npm init`` leaves a placeholder that only fails."""
    return bool(script.strip()) and "no test specified" not in script


def _fix(manager: str, scripts: dict[str, str], name: str, kind: CheckKind) -> Words | None:
    if kind is not CheckKind.LINT:
        return None
    if script := next((fix for fix in _FIX_SCRIPTS if fix in scripts), None):
        return (manager, "run", script)
    if re.fullmatch(r"eslint\b[^;&|<>]*", scripts[name]):
        return (manager, "run", name, *(("--",) if manager == "npm" else ()), "--fix")
    return None


def _local(manager: str, program: str) -> Words:
    """A program of the installed packages; only Yarn may keep them elsewhere than in node_modules/.bin."""
    return ("yarn", "run", program) if manager == "yarn" else (program,)


def _tsc(repository: Repository, package: dict[str, object], manager: str) -> Words | None:
    """``tsc`` where there is a tsconfig.json and no script. With project references a plain run would see no file."""
    if not repository.has("tsconfig.json") or "typescript" not in dependencies(package):
        return None
    if not re.search(r'"references"\s*:\s*\[\s*[^\]\s]', repository.text("tsconfig.json")):
        return (*_local(manager, "tsc"), "--noEmit")
    fields = ("dependencies", "devDependencies")
    declared = next((str(at(package, field, "typescript")) for field in fields if at(package, field, "typescript")), "")
    version = re.search(r"(\d{1,4})\.(\d{1,4})", declared)
    old = version is not None and (int(version[1]), int(version[2])) < (5, 6)  # no --noEmit beside --build yet
    return (*_local(manager, "tsc"), "--build", *(() if old else ("--noEmit",)))


def _eslint(repository: Repository, package: dict[str, object], manager: str) -> Words | None:
    configured = any(_ESLINT_CONFIG.fullmatch(path) for path in repository.paths)
    return (*_local(manager, "eslint"), ".") if configured and "eslint" in dependencies(package) else None


def _install(
    repository: Repository, package: dict[str, object], manager: str, scripts: dict[str, str]
) -> InstallStep | None:
    """A frozen install that copies (never links) from the manager's store.

    Its node_modules may be copied between trees unless a life-cycle script makes them depend on other files.
    """
    places = ["", *workspaces(repository)]
    declares = any(dependencies(repository.json(join(place, "package.json"))) for place in places)
    if not declares and not any(scripts.get(name) for name in _LIFECYCLE) and len(places) == 1:
        return None
    own_scripts = any(scripts.get(name, "husky").strip() not in ("husky", "husky install") for name in _LIFECYCLE)
    copyable = not own_scripts and not (manager == "yarn" and _plug_and_play(repository, package))
    patches = [path for path in repository.under("patches", ".yarn/patches") if not path.endswith("/")]
    return InstallStep(
        command=_install_command(repository, package, manager),
        key_files=(
            *(join(place, "package.json") for place in places),
            *_LOCKS,
            *_CONFIGURATION,
            *patches,
        ),
        produces=tuple(join(place, "node_modules") for place in places) if copyable else (),
    )


def _install_command(repository: Repository, package: dict[str, object], manager: str) -> Words:
    locked = any(repository.has(lock) for lock, owner in _LOCKS.items() if owner == manager)
    match manager:
        case "pnpm":
            frozen = "--frozen-lockfile" if locked else "--no-lockfile"
            # Without extend-node-path its scripts would carry the absolute path of the tree they were made in.
            return ("pnpm", "install", frozen, "--package-import-method=copy", "--config.extend-node-path=false")
        case "yarn" if _berry(repository, package):
            return ("yarn", "install", *(("--immutable",) if locked else ()))
        case "yarn":
            frozen = "--frozen-lockfile" if locked else "--no-lockfile"
            return ("yarn", "install", frozen, "--non-interactive")
        case "bun":
            return ("bun", "install", "--frozen-lockfile" if locked else "--no-save", "--backend=copyfile")
        case _ if locked:
            return ("npm", "ci", "--no-audit", "--no-fund")
        case _:
            return ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund")


def _berry(repository: Repository, package: dict[str, object]) -> bool:
    """Whether Yarn is of version 2 or later, whose options are others."""
    declared = str(package.get("packageManager") or "")
    if declared.startswith("yarn@"):
        return not declared.startswith(("yarn@0.", "yarn@1."))
    return repository.has(".yarnrc.yml") or "__metadata:" in repository.text("yarn.lock")[:2000]


def _plug_and_play(repository: Repository, package: dict[str, object]) -> bool:
    linker = re.search(r"(?m)^nodeLinker:\s*[\"']?([\w-]+)", repository.text(".yarnrc.yml"))
    return _berry(repository, package) and (linker is None or linker[1] != "node-modules")


def aliases(repository: Repository) -> frozenset[str]:
    """The first parts of the import paths that tsconfig.json maps to own files (``@/*`` gives ``@``).

    The file is JSON with comments, so its ``paths`` are looked for rather than parsed.
    """
    found = set()
    for path in ("tsconfig.json", "tsconfig.app.json", "tsconfig.base.json", "jsconfig.json"):
        if block := re.search(r'"paths"\s*:\s*\{([^{}]{0,20000})\}', repository.text(path)):
            found |= {key.partition("/")[0] for key in re.findall(r'"([^"\n]{1,200})"\s*:', block[1])}
    own = repository.json("package.json")
    names = [
        own.get("name"),
        *(repository.json(join(place, "package.json")).get("name") for place in workspaces(repository)),
    ]
    return frozenset(found | set(strings(names)))
