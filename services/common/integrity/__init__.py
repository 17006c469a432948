# SPDX-License-Identifier: Apache-2.0
"""Proofs about the log: RFC 6962 trees, C2SP notes, checkpoints, tiles, witnesses. Pure."""
