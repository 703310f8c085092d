"""Builds the image and prints its size, layer by layer; then tries what it is for. Ten minutes, and 15 GB of disk.

    apt-get install buildah debootstrap
    python -m tests.benchmarks.image

No registry and no daemon is needed: a fresh Debian stands in for the base image (with its documentation, which the
published one lacks), and the steps of the Dockerfile run in it as they are. It has to be run by root. What this
machine's pip and npm are told (certificates, an index) counts in the build too, mounted and not copied.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
BASE = "docker.io/library/debian:bookworm-slim"
MIRROR = "http://deb.debian.org/debian"
LIMIT = 1800.0
CERTIFICATES = "/run/build-certificates.crt"
USER = "61005"
NODE = "22.11.0"
"""A version that the image does not have; a mirror on this machine pretends to."""


class Builder:
    """buildah with a storage of its own in ``place``."""

    def __init__(self, place: Path) -> None:
        self._options = ["--root", f"{place}/storage", "--runroot", f"{place}/run", "--storage-driver", "vfs"]

    def __call__(self, *words: str | Path, quiet: bool = True) -> str:
        """Its output. A failure ends the benchmark with what it said."""
        return shell("buildah", *self._options, *map(str, words), quiet=quiet)


def shell(*words: str, quiet: bool = True) -> str:
    pipe = subprocess.PIPE if quiet else None
    done = subprocess.run(words, stdout=pipe, stderr=pipe, text=True, timeout=LIMIT, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words[:12])} … failed:\n{done.stdout or ''}{done.stderr or ''}")
    return done.stdout or ""


def mounts(place: Path) -> list[str]:
    """This machine's configuration of pip and npm, as volumes for the build."""
    pip = configparser.ConfigParser(interpolation=None)
    pip["global"] = {}
    for line in shell(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        kind, value = name.rpartition(".")[2], value.strip("'\"")
        if kind in ("index-url", "extra-index-url", "proxy", "trusted-host") and "file:" not in value:
            pip["global"][kind] = value
    registry = shell("npm", "config", "get", "registry").strip()
    certificates = next(
        (path for name in ("PIP_CERT", "SSL_CERT_FILE") if (path := os.environ.get(name))),
        "/etc/ssl/certs/ca-certificates.crt",
    )
    pip["global"]["cert"] = CERTIFICATES
    with (place / "pip.conf").open("w") as file:
        pip.write(file)
    (place / "npmrc").write_text(f"registry={registry}\ncafile={CERTIFICATES}\n")
    pairs = {certificates: CERTIFICATES, place / "pip.conf": "/etc/pip.conf", place / "npmrc": "/root/.npmrc"}
    return [word for outside, inside in pairs.items() for word in ("--volume", f"{outside}:{inside}:ro")]


def make_base(buildah: Builder, place: Path) -> None:
    """A Debian as small as the base image, under its name."""
    shell("debootstrap", "--variant=minbase", "bookworm", f"{place}/rootfs", MIRROR)
    container = buildah("from", "scratch").strip()
    buildah("add", "--quiet", container, place / "rootfs", "/")
    buildah("commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(place / "rootfs")


def layers(buildah: Builder, place: Path) -> list[tuple[str, int]]:
    """Compressed bytes of each layer as a registry would hold it, with the instruction that made it."""
    buildah("push", "--quiet", "mason", f"oci:{place}/oci")
    blobs = place / "oci" / "blobs" / "sha256"

    def blob(digest: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((blobs / digest.removeprefix("sha256:")).read_text())
        return loaded

    index: dict[str, Any] = json.loads((place / "oci" / "index.json").read_text())
    manifest = blob(index["manifests"][0]["digest"])
    history = blob(manifest["config"]["digest"])["history"]
    made = [step.get("created_by", "") for step in history if not step.get("empty_layer")]
    return [(step, layer["size"]) for step, layer in zip(made, manifest["layers"], strict=True)]


@contextlib.contextmanager
def node_mirror(place: Path) -> Iterator[str]:
    """An address where mise finds one version of Node, whose program only says its name."""
    name = f"node-v{NODE}-linux-x64"
    release = place / f"v{NODE}"
    program = release / name / "bin" / "node"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho v{NODE} of the mirror\n")
    program.chmod(0o755)
    with tarfile.open(release / f"{name}.tar.gz", "w:gz") as archive:
        archive.add(release / name, name)
    digest = sha256((release / f"{name}.tar.gz").read_bytes()).hexdigest()
    (release / "SHASUMS256.txt").write_text(f"{digest}  {name}.tar.gz\n")
    listing = [{"version": f"v{NODE}", "date": "2024-10-29", "files": ["linux-x64"], "lts": "Jod"}]
    (place / "index.json").write_text(json.dumps(listing))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def try_it(buildah: Builder, place: Path) -> None:
    """The command, the demo (items run to their branches), and versions as another user, in a hostile tree."""
    container = buildah("from", "--pull-never", "mason").strip()
    inside = Path(buildah("mount", container).strip())

    def run(*words: str, user: str = "0", **env: str) -> str:
        variables = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
        return buildah("run", "--isolation", "chroot", "--user", user, *variables, container, "--", *words).strip()

    entry = ("/usr/bin/tini", "-s", "-g", "--", "/opt/mason/bin/python", "/opt/mason/entrypoint.py")
    print("\n", run(*entry, "--version"), sep="")
    print(run("sh", "-c", "for name in node npm python3 uv git; do echo $name $($name --version); done"))
    home = inside / "home" / "someone"
    (home / "tree").mkdir(parents=True)
    (home / "tree" / ".nvmrc").write_text(f"{NODE}\n")
    (home / "tree" / "mise.toml").write_text("[env]\nX = \"{{exec(command='touch /home/someone/ran')}}\"\n")
    shell("chown", "-R", f"{USER}:{USER}", str(home))
    with node_mirror(place / "mirror") as mirror:
        said = run(
            *("sh", "-c", "cd ~/tree && node --version && cd / && node --version && whoami"),
            user=USER,
            HOME="/home/someone",
            MISE_NODE_MIRROR_URL=mirror,
        ).splitlines()
    expect(said[0] == f"v{NODE} of the mirror", f".nvmrc was not heeded: {said}")
    expect(said[1].startswith("v24."), f"without a version file another Node than the image's: {said}")
    expect(said[2] == f"mason{USER}", f"the user has no name: {said}")
    expect(not (home / "ran").exists(), "the tree's mise.toml was run")
    print(f".nvmrc decides for user {USER}; the tree's mise.toml does not run")
    print(run(*entry, "demo"))
    buildah("rm", container)


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(otherwise)


def main() -> None:
    if missing := [name for name in ("buildah", "debootstrap", "npm") if not shutil.which(name)]:
        sys.exit(f"needs {', '.join(missing)}: apt-get install buildah debootstrap npm")
    with tempfile.TemporaryDirectory(prefix="mason-image-") as directory:
        place = Path(directory)
        buildah = Builder(place)
        print("Debian for the base …")
        make_base(buildah, place)
        started = time.monotonic()
        options = ["--pull-never", "--isolation", "chroot", "--layers", *mounts(place)]
        buildah("bud", *options, "--tag", "mason", *sys.argv[1:], CHECKOUT)
        print(f"built in {time.monotonic() - started:.0f} s\n")
        sizes = layers(buildah, place)
        for step, size in sizes:
            print(f"{size / 1e6:8.1f} MB  {step[:100]}")
        print(f"{sum(size for _, size in sizes) / 1e6:8.1f} MB  compressed, as it is pulled")
        unpacked = json.loads(buildah("images", "--json", "mason"))[0]["size"]
        print(f"{unpacked:>11}  unpacked, base included")
        try_it(buildah, place)


if __name__ == "__main__":
    main()
