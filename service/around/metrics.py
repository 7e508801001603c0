"""/metrics in the Prometheus text format, for all workers together.

Each worker writes its counts into files of a private folder (PROMETHEUS_MULTIPROC_DIR, created by `service.server`),
and any worker can add them up; the files of a killed worker remain and count.
Facts about the database are read from it on request.
Labels never contain a client's text: they are routes and declared queries.
"""

import os
from collections.abc import Iterator
from datetime import datetime
from functools import partial

from flask import Blueprint, Flask, Response, current_app
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from catalog.errors import AnalyticsError
from pipelines.answer.answer import Answer
from pipelines.state.version import Directory
from service.around import requests
from service.around.connection import FOLDER, current_answerer, current_store
from service.around.context import context

blueprint = Blueprint("metrics", __name__)
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters and histograms of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry, buckets=BUCKETS)
        self.requests = counter("analytics_requests", "Requests", ("route", "status"))
        self.unread = self.requests.labels("none", "503")
        self.shed = counter("analytics_shed_requests", "Requests refused because too much was going on")
        self.kept = counter("analytics_answer_cache_hits", "Answers that were kept from before")
        self.made = counter("analytics_answer_cache_misses", "Answers that had to be made")
        self.seconds = histogram("analytics_request_seconds", "Time of requests for answers", ("query", "source"))
        self.mongo_seconds = histogram(
            "analytics_mongodb_seconds", "Time that requests for answers waited for MongoDB", ("query", "source")
        )

    def count(self, response: Response) -> Response:
        """Count a request; an `after_request` function."""
        self.requests.labels(requests.route(), str(response.status_code)).inc()
        if context().is_shed:
            self.shed.inc()
        answers = context().answers
        for _, kept in answers:
            (self.kept if kept else self.made).inc()
        if answers:
            timing = context().timer.timing_ms()
            source = answers[0][0].plan.source if len(answers) == 1 else "several"
            self.seconds.labels(requests.slug(), source).observe(timing["total"] / 1000)
            self.mongo_seconds.labels(requests.slug(), source).observe(timing.get("mongo", 0.0) / 1000)
        return response

    def count_unread(self) -> None:
        """Count a request that was refused before it was read."""
        self.shed.inc()
        self.unread.inc()

    def count_direct(self, route: str, answer: Answer, sent: requests.Sent, *, was_there: bool) -> None:
        """Count a request that Flask has not seen; `was_there`: whether its reply was kept from before."""
        self.requests.labels(route, str(sent.status)).inc()
        (self.kept if was_there else self.made).inc()
        labels = requests.declared(answer.question.query.slug), answer.plan.source
        self.seconds.labels(*labels).observe(sent.timing_ms["total"] / 1000)
        self.mongo_seconds.labels(*labels).observe(0.0)


class DatabaseFacts:
    """The current state of the database, as gauges."""

    def __init__(self, directory: Directory | None) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        """The gauges; while MongoDB is unavailable, only that one."""
        yield GaugeMetricFamily("analytics_mongodb_up", "Whether MongoDB answers", float(self._directory is not None))
        if self._directory is None:
            return
        yield GaugeMetricFamily("analytics_data_version", "The data version", self._directory.version.number)
        incomplete = self._directory.incomplete | self._directory.unrecorded
        stale = len(set(self._directory.stale_months) - incomplete)
        yield GaugeMetricFamily("analytics_stale_months", "Months that wait for a refresh", stale)
        what = "Months and years of which something that was built is missing"
        yield GaugeMetricFamily("analytics_incomplete_periods", what, len(incomplete))
        verification = self._directory.verification
        if verification:
            at = verification["verified_at"]
            seconds = at.timestamp() if isinstance(at, datetime) else 0.0
            yield GaugeMetricFamily(
                "analytics_verification_ok",
                "Whether the last verification found no difference",
                float(verification["ok"]),
            )
            yield GaugeMetricFamily(
                "analytics_verification_version",
                "The data version that the last verification compared",
                verification["data_version"],
            )
            verified = float(bool(self._directory.is_verified()))
            yield GaugeMetricFamily(
                "analytics_verified",
                "Whether the last verification found no difference and nothing has changed since",
                verified,
            )
            yield GaugeMetricFamily(
                "analytics_verification_timestamp_seconds", "When the last verification was made", seconds
            )


def install(app: Flask) -> None:
    """Count each request, and serve the counts."""
    metrics = Metrics()
    app.extensions["metrics"] = metrics
    app.after_request(metrics.count)
    app.register_blueprint(blueprint)


@blueprint.get("/metrics")
def page() -> Response:
    """The counts of all workers, and the state of the database."""
    counts = CollectorRegistry()
    if os.environ.get(FOLDER):
        MultiProcessCollector(counts)  # type: ignore[no-untyped-call]
    else:
        counts = current_app.extensions["metrics"].registry
    facts = CollectorRegistry()
    facts.register(DatabaseFacts(_directory()))
    response = Response(generate_latest(counts) + generate_latest(facts), content_type=CONTENT_TYPE_LATEST)
    response.headers["Cache-Control"] = "no-store"
    return response


def _directory() -> Directory | None:
    try:
        with current_store().snapshot() as snapshot:
            return current_answerer().known.inspect(snapshot)
    except AnalyticsError:
        return None
