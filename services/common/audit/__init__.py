# SPDX-License-Identifier: Apache-2.0
"""What auditors and the keepers of personal data do with the log."""
