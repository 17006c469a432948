# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL, RabbitMQ and all processes on one machine."""
