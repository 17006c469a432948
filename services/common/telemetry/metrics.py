# SPDX-License-Identifier: Apache-2.0
"""Every metric of the platform, in one registry; labels are names and outcomes, never ids."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY: Final = CollectorRegistry(auto_describe=True)
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

eventlog_append_seconds = Histogram(
    "eventlog_append_seconds", "Time from request to durable answer.", ("outcome",),
    buckets=_SECONDS, registry=REGISTRY,
)  # fmt: skip
event_handle_seconds = Histogram(
    "event_handle_seconds", "Time from reading an event to its durable effect.",
    ("reactor", "outcome"), buckets=_SECONDS, registry=REGISTRY,
)  # fmt: skip
event_redelivered_total = Counter(
    "event_redelivered_total", "Messages the broker delivered again.", ("reactor",),
    registry=REGISTRY,
)  # fmt: skip
dlq_rejected_total = Counter(
    "dlq_rejected_total", "Messages given to a dead-letter queue.", ("reactor", "reason"),
    registry=REGISTRY,
)  # fmt: skip
reactor_swept_total = Counter(
    "reactor_swept_total", "Events handled by the sweeper, not by a message.", ("reactor",),
    registry=REGISTRY,
)  # fmt: skip
relay_published_total = Counter(
    "relay_published_total", "Publishes by the broker's answer.", ("outcome",), registry=REGISTRY
)
relay_lag_events = Gauge(
    "relay_lag_events", "Events in the log that are not confirmed yet.", registry=REGISTRY
)
relay_lag_seconds = Gauge(
    "relay_lag_seconds", "Age of the oldest event that is not confirmed yet.", registry=REGISTRY
)
relay_blocked = Gauge(
    "relay_blocked", "1 while a broker alarm (memory, disk) holds up publishing.", registry=REGISTRY
)
relay_leader = Gauge("relay_leader", "1 while this process leads.", registry=REGISTRY)
sealed_size = Gauge("sealed_size", "Events under the newest checkpoint.", registry=REGISTRY)
seal_lag_seconds = Gauge(
    "seal_lag_seconds", "Age of the oldest event when it was sealed; 0 at rest.", registry=REGISTRY
)
seal_refused = Gauge("seal_refused", "1 once the log is not as it was written.", registry=REGISTRY)
log_closed = Gauge(
    "log_closed", "1 while nothing is appended because the log may have lost its end.",
    registry=REGISTRY,
)  # fmt: skip
partitions_ahead = Gauge(
    "partitions_ahead", "Partitions of the log that are made and still empty.", registry=REGISTRY
)
projection_lag_events = Gauge(
    "projection_lag_events", "Events a projection has not folded yet.", ("projection",),
    registry=REGISTRY,
)  # fmt: skip
consumer_connected = Gauge(
    "consumer_connected", "1 while the consumer is subscribed.", ("reactor",), registry=REGISTRY
)
hub_lag_seconds = Gauge(
    "hub_lag_seconds", "How late the last heartbeat of the process was.", registry=REGISTRY
)
http_request_seconds = Histogram(
    "http_request_seconds", "Time to answer a request.", ["route", "code"], registry=REGISTRY
)
witness_answers_total = Counter(
    "witness_answers_total", "Answers of this witness by HTTP status.", ("status",),
    registry=REGISTRY,
)  # fmt: skip
cosign_total = Counter(
    "cosign_total", "Checkpoints brought to a witness, by what came of it.",
    ("witness", "outcome"), registry=REGISTRY,
)  # fmt: skip
cosign_lag_seconds = Gauge(
    "cosign_lag_seconds", "For how long a witness has not cosigned the newest checkpoint.",
    ("witness",), registry=REGISTRY,
)  # fmt: skip
money_lease_withheld_total = Counter(
    "money_lease_withheld_total", "Leases not given to machines because sealing was late.",
    registry=REGISTRY,
)  # fmt: skip
patrol_position = Gauge(
    "patrol_position", "How far the sealer has read the log again in this round.",
    registry=REGISTRY,
)  # fmt: skip
checkpoints_published_total = Counter(
    "checkpoints_published_total", "Checkpoints that the broker confirmed.", registry=REGISTRY
)
webhook_leader = Gauge("webhook_leader", "1 while this process sends webhooks.", registry=REGISTRY)
webhook_attempts_total = Counter(
    "webhook_attempts_total", "Attempts to deliver, by what came back and its class of status.",
    ("outcome", "status"), registry=REGISTRY,
)  # fmt: skip
webhook_seconds = Histogram(
    "webhook_seconds", "Time from looking a receiver up to the head of its answer.",
    buckets=_SECONDS, registry=REGISTRY,
)  # fmt: skip
webhook_lag_events = Gauge(
    "webhook_lag_events", "Positions of the log that a webhook is behind.", ("subscriber",),
    registry=REGISTRY,
)  # fmt: skip
webhook_lag_seconds = Gauge(
    "webhook_lag_seconds", "Age of the oldest position that a webhook is behind; 0 at rest.",
    ("subscriber",), registry=REGISTRY,
)  # fmt: skip
webhook_suspended = Gauge(
    "webhook_suspended", "1 where a webhook was stopped by itself and waits for a person.",
    ("subscriber",), registry=REGISTRY,
)  # fmt: skip
