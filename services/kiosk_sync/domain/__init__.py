# SPDX-License-Identifier: Apache-2.0
"""Pure rules of machines and of what they are allowed."""
