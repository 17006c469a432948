# SPDX-License-Identifier: Apache-2.0
"""What banks and the finance office call over HTTP."""
