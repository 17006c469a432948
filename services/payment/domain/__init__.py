# SPDX-License-Identifier: Apache-2.0
"""Pure rules of money; no framework and no I/O."""
