"""The web app as `mason web` runs it, with gunicorn and a real queue: ``python -m tests.benchmarks.webhook_server``.

Arguments: port, DSN of the app database, GitHub's webhook secret, directory for the metrics, processes, threads.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from app.database.queue import job_queue
from app.json_log import set_up_json_logging
from app.log import Redactor
from app.serving.http_server import Address, HttpServer
from app.web.app import WebParts, web_app
from app.web.health import Probes
from app.web.metrics import Samples, WebMetrics


def main(port: str, dsn: str, secret: str, metrics: str, workers: str, threads: str) -> None:
    set_up_json_logging(Redactor([secret, dsn]))

    def make() -> Any:
        queue = job_queue(dsn)
        parts = WebParts(
            jobs=queue,
            probes=Probes(queue=queue, samples=lambda: Samples(queue=queue.queue_state())),
            metrics=WebMetrics(Path(metrics)),
            github_secrets=(secret.encode(),),
        )
        return web_app(parts)

    HttpServer(Address(host="127.0.0.1", port=int(port), workers=int(workers), threads=int(threads)), make).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
