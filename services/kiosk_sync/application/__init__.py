# SPDX-License-Identifier: Apache-2.0
"""Commands, reactions and uploads: fold, decide, record."""
