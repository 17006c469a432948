# SPDX-License-Identifier: Apache-2.0
"""What every HTTP process shares: errors, login, correlation, server."""
