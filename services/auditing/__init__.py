# SPDX-License-Identifier: Apache-2.0
"""Auditors' pages: what happened, what was so at any moment, and that nobody changed it."""
