# SPDX-License-Identifier: Apache-2.0
"""The judge and other tools of operations."""
