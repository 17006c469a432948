# SPDX-License-Identifier: Apache-2.0
"""Events on RabbitMQ: envelope, topology, relay helpers, reactors, sweeper."""
