# SPDX-License-Identifier: Apache-2.0
"""What the application asks of the outside."""
