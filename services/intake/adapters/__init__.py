# SPDX-License-Identifier: Apache-2.0
"""The outside world of intake: calendar and one-stop system."""
