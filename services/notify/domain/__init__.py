# SPDX-License-Identifier: Apache-2.0
"""What a notification is, what it says, and what fits into one SMS."""
