"""The environment of checks and of the install step, built from an allow list."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from app import users
from app.process import base_environment

_REGISTRIES = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"),
    *("npm_config_registry", "NPM_CONFIG_REGISTRY", "GOPROXY", "GOSUMDB", "GOFLAGS"),
)
_NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE"),
)
_TOOL_HOMES = {
    "RUSTUP_HOME": ".rustup",
    "CARGO_HOME": ".cargo",
    "GOPATH": "go",
    "PYENV_ROOT": ".pyenv",
    "NVM_DIR": ".nvm",
    "VOLTA_HOME": ".volta",
    "BUN_INSTALL": ".bun",
    "PNPM_HOME": ".local/share/pnpm",
    "COREPACK_HOME": ".cache/node/corepack",
    "MISE_DATA_DIR": ".local/share/mise",
    "PLAYWRIGHT_BROWSERS_PATH": ".cache/ms-playwright",
}
"""Where tools and downloaded packages live. Caches of results (GOCACHE, say) are left out: an agent may have written
them, and a check would believe them."""

_PLAIN = {
    "CI": "1",  # no prompts, and no watch mode in vitest and jest
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "CARGO_TERM_COLOR": "never",
    "PY_COLORS": "0",
    "PYTHONDONTWRITEBYTECODE": "1",  # a tree's files are the work, and byte code is none of it
    "PYTHONUNBUFFERED": "1",
    "UV_LINK_MODE": "copy",
    "npm_config_package_import_method": "copy",
    "npm_config_update_notifier": "false",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "COREPACK_ENABLE_DOWNLOAD_PROMPT": "0",
}


def check_environment(environ: Mapping[str, str], tree: Path, home: Path, temporary: Path) -> dict[str, str]:
    """For a check in ``tree``: an empty ``home``, and the tool homes of the real one passed by name."""
    own = _own(home, temporary)
    passed = _passed(environ, _REGISTRIES) | _tools(environ, tree)
    return base_environment(environ, passed | _PLAIN | _programs(environ, tree) | own)


def install_environment(environ: Mapping[str, str], tree: Path, home: Path, temporary: Path) -> dict[str, str]:
    """For the install step: the real home with its registry configuration, proxies and certificates.

    Where it runs as another user, who cannot get into the real home, it has the empty ``home`` too.
    """
    passed = _passed(environ, (*_REGISTRIES, *_NETWORK))
    separate = users.owner(tree) is not None
    own = _tools(environ, tree) | _own(home, temporary) if separate else _passed(environ, tuple(_TOOL_HOMES))
    return base_environment(environ, passed | _PLAIN | _programs(environ, tree) | own)


def _tools(environ: Mapping[str, str], tree: Path) -> dict[str, str]:
    """The tool homes that whoever runs a command in the tree can use.

    Where that is another user, the versions that the repository names are kept in the tree's throw-away ``.git``: once
    for install step and checks, gone with the tree, and nobody else's to change.
    """
    user = users.owner(tree)
    found = {"MISE_DATA_DIR": str(tree / ".git" / "mason-tools")} if user else {}
    for name, default in _TOOL_HOMES.items():
        place = environ.get(name) or (str(Path(environ["HOME"]) / default) if environ.get("HOME") else "")
        usable = users.reaches(Path(place), user) if place and user else os.access(place, os.R_OK | os.X_OK)
        if place and usable:
            found[name] = place
    return found


def _own(home: Path, temporary: Path) -> dict[str, str]:
    return {"HOME": str(home), "TMPDIR": str(temporary)}


def _passed(environ: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: environ[name] for name in names if name in environ}


def _programs(environ: Mapping[str, str], tree: Path) -> dict[str, str]:
    """PATH with the programs that the tree's own install step has put there in front."""
    virtual = tree / ".venv"
    own = [str(place) for place in (virtual / "bin", tree / "node_modules" / ".bin") if place.is_dir()]
    path = {"PATH": ":".join([*own, environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")])}
    return path | ({"VIRTUAL_ENV": str(virtual)} if (virtual / "bin").is_dir() else {})
