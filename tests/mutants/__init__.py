# SPDX-License-Identifier: Apache-2.0
"""Planted faults: each breaks one promise, and a named test must notice."""
