# SPDX-License-Identifier: Apache-2.0
"""What machines and the operations team call over HTTP."""
