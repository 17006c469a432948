# SPDX-License-Identifier: Apache-2.0
"""Everything without a business rule; knows no service."""
