"""What a Python repository's manifests declare, and which distribution a module most likely comes from."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_LINE = re.compile(r"^[ \t]*(?:-[ \t]+)?([A-Za-z0-9][\w.-]*)[ \t]*(?:$|[\[<>=!~;#@, ])", re.MULTILINE)
_LITERAL = re.compile(r"['\"]([A-Za-z0-9][\w.-]{0,100})(?:[\[<>=!~;@ ][^'\"\n]{0,300})?['\"]")

KNOWN_AS = {
    "_cffi_backend": "cffi",
    "_pytest": "pytest",
    "airflow": "apache-airflow",
    "attr": "attrs",
    "axes": "django-axes",
    "bs4": "beautifulsoup4",
    "bson": "pymongo",
    "cairo": "pycairo",
    "corsheaders": "django-cors-headers",
    "crypto": "pycryptodome",
    "cryptodome": "pycryptodomex",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "debug_toolbar": "django-debug-toolbar",
    "discord": "discord-py",
    "django_filters": "django-filter",
    "dns": "dnspython",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "environ": "django-environ",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "flask_sqlalchemy": "flask-sqlalchemy",
    "gi": "pygobject",
    "git": "gitpython",
    "github": "pygithub",
    "google.oauth2": "google-auth",
    "google.protobuf": "protobuf",
    "googleapiclient": "google-api-python-client",
    "grpc": "grpcio",
    "guardian": "django-guardian",
    "haystack": "django-haystack",
    "health_check": "django-health-check",
    "hydra": "hydra-core",
    "impala": "impyla",
    "import_export": "django-import-export",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "kafka": "kafka-python",
    "ldap": "python-ldap",
    "lightning_fabric": "lightning",
    "llama_index": "llama-index-core",
    "magic": "python-magic",
    "markdown_it": "markdown-it-py",
    "memcache": "python-memcached",
    "mpl_toolkits": "matplotlib",
    "mptt": "django-mptt",
    "multipart": "python-multipart",
    "mysqldb": "mysqlclient",
    "nacl": "pynacl",
    "odf": "odfpy",
    "openssl": "pyopenssl",
    "pil": "pillow",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "psycopg_pool": "psycopg",
    "pwiz": "peewee",
    "pylab": "matplotlib",
    "pythoncom": "pywin32",
    "pythonjsonlogger": "python-json-logger",
    "pyximport": "cython",
    "rest_framework": "djangorestframework",
    "rest_framework_simplejwt": "djangorestframework-simplejwt",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "skopt": "scikit-optimize",
    "sksurv": "scikit-survival",
    "slugify": "python-slugify",
    "socks": "pysocks",
    "speech_recognition": "speechrecognition",
    "storages": "django-storages",
    "taggit": "django-taggit",
    "telegram": "python-telegram-bot",
    "tlz": "toolz",
    "umap": "umap-learn",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "win32api": "pywin32",
    "win32con": "pywin32",
    "wx": "wxpython",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
"""Modules (lower case) whose distribution goes by another name, as their own documentation says."""

_VARIANTS = {
    "cv2": ("opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "faiss": ("faiss-gpu",),
    "psycopg2": ("psycopg2",),
    "tensorflow": ("tensorflow-cpu", "tensorflow-gpu", "tensorflow-macos", "tensorflow-intel"),
    "onnxruntime": ("onnxruntime-gpu",),
    "crypto": ("pycrypto",),
    "kafka": ("kafka-python-ng",),
    "magic": ("python-magic-bin",),
}
"""Modules (lower case) that several distributions contain."""

_NAMESPACES = frozenset(
    ("azure", "backports", "google", "jaraco", "opentelemetry", "paste", "plone", "ruamel", "sphinxcontrib", "zope")
)
"""Modules that many distributions share, each named after what it adds to them."""


def is_manifest(name: str) -> bool:
    """Whether a file of this name may declare distributions."""
    listed = name.startswith(("requirements", "constraints")) and name.endswith((".txt", ".in"))
    return listed or name in ("pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "environment.yml", "tox.ini")


def declared_by(manifests: Mapping[str, str]) -> frozenset[str] | None:
    """The distributions that manifests (path → text) name, normalised; None without a manifest."""
    if not manifests:
        return None
    return frozenset(
        _normal(name) for path, text in manifests.items() for name in _names(posixpath.basename(path), text)
    )


def distributions_of(module: str) -> set[str]:
    """The names under which a dotted module may be distributed, normalised."""
    parts = module.split(".")
    dotted = [".".join(parts[:size]) for size in range(1, min(len(parts), 4) + 1)]
    found = {_normal(name) for name in dotted}
    found |= {_normal(KNOWN_AS[name.lower()]) for name in dotted if name.lower() in KNOWN_AS}
    found |= set(_VARIANTS.get(parts[0].lower(), ()))
    first = _normal(parts[0])
    return found | {f"python-{first}", f"py{first}", f"py-{first}", f"{first}-python", f"{first}-py", f"{first}-binary"}


def contains(distribution: str, module: str) -> bool:
    """Whether a distribution's (normalised) name says that it lies within a dotted module: a namespace package."""
    is_namespace = "." in module or module in _NAMESPACES
    return is_namespace and distribution.startswith(f"{_normal(module)}-")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _names(file: str, text: str) -> Iterator[str]:
    if file.endswith((".txt", ".in", ".cfg", ".yml", ".ini")):
        yield from (match[1] for match in _LINE.finditer(text))
    elif file == "setup.py":
        yield from (match[1] for match in _LITERAL.finditer(text))
    else:
        try:
            content = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError):
            return
        yield from _in_tables(content)


def _in_tables(content: dict[str, Any]) -> Iterator[str]:
    """Names under every key that lists dependencies, whoever's table it is in; at most eight tables deep."""
    waiting: list[tuple[object, bool, int]] = [(content, False, 0)]
    while waiting:
        value, listing, depth = waiting.pop()
        if isinstance(value, str) and listing and (match := _NAME.match(value)):
            yield match[0]
        elif isinstance(value, list) and listing:
            waiting += [(one, True, depth) for one in value]
        elif isinstance(value, dict) and depth < 8:
            for key, inside in value.items():
                lists = "dependencies" in key or key in ("packages", "dev-packages", "dependency-groups", "requires")
                if listing and not isinstance(inside, list):
                    yield key
                waiting.append(
                    (inside, listing or lists, depth + 1) if not isinstance(inside, str) else (None, False, 8)
                )
