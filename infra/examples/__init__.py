# SPDX-License-Identifier: Apache-2.0
"""Small complete subscribers to start from; they use pika and nothing of the platform's inside."""
