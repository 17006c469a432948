# SPDX-License-Identifier: Apache-2.0
"""Receive the events of Một Cửa 24/7: each once in effect. Needs Python 3.11 and pika, no more.

The folder can be copied as it is; it imports nothing else of the platform (docs/subscribing.md).
"""

from motcua_subscriber.certificate import Certificate, CertificateError, open_certificate
from motcua_subscriber.event import Event, NotAnEventError, parse
from motcua_subscriber.feed import FeedClient, FeedError, Page
from motcua_subscriber.inbox import Inbox, SQLiteInbox
from motcua_subscriber.subscriber import Completeness, Delivery, Subscriber
from motcua_subscriber.webhook import WebhookError, take, verify

__all__ = [
    "Certificate", "CertificateError", "Completeness", "Delivery", "Event", "FeedClient",
    "FeedError", "Inbox", "NotAnEventError", "Page", "SQLiteInbox", "Subscriber",
    "WebhookError", "open_certificate", "parse", "take", "verify",
]  # fmt: skip
