# SPDX-License-Identifier: Apache-2.0
"""Procedures and the office this project begins with."""
