# SPDX-License-Identifier: Apache-2.0
"""What notify does about events: request messages, send them, record what became of them."""
