# SPDX-License-Identifier: Apache-2.0
"""The append-only event log: record, port, PostgreSQL and its in-memory twin."""
