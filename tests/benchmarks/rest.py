"""The REST API's benchmarks: ``python -m tests.benchmarks.rest [NAME …] [--json]``, a table as engine's."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tests.benchmarks import engine
from tests.benchmarks.bench import Row
from tests.benchmarks.run_views import views
from tests.benchmarks.starts import start

BENCHMARKS: dict[str, Callable[[], list[Row]]] = {"views": views, "start": start}

if __name__ == "__main__":
    sys.exit(engine.main(benchmarks=BENCHMARKS, command="rest", description=__doc__))
