# SPDX-License-Identifier: Apache-2.0
"""Read models of messages."""
