# SPDX-License-Identifier: Apache-2.0
"""HTTP of notify: the feed for systems outside."""
