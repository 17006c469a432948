# SPDX-License-Identifier: Apache-2.0
"""A small area of pages, for tests of the shell."""
