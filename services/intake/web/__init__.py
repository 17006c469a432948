# SPDX-License-Identifier: Apache-2.0
"""What officials call over HTTP."""
