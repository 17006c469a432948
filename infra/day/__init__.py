# SPDX-License-Identifier: Apache-2.0
"""A day at two machines: who comes, what they do, what goes wrong, and the account of it."""
