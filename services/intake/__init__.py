# SPDX-License-Identifier: Apache-2.0
"""Dossiers: registered, checked, finished, returned, reported."""
