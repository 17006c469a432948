# SPDX-License-Identifier: Apache-2.0
"""Read models replayed from the log, wherever it lies, without touching those that serve."""
