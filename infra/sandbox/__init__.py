# SPDX-License-Identifier: Apache-2.0
"""The outside world: separate servers with their own books; they import no service."""
