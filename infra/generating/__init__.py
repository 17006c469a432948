# SPDX-License-Identifier: Apache-2.0
"""Logs made up from a seed: whole stories of dossiers, for benchmarks, tests and sizing.

What happens is decided by the services' own domain code (fees, payments, messages, the ten states),
so a generated log is one that they could have written. It holds nothing personal: where an event
would carry a sealed value there are random bytes that no key opens.
"""
