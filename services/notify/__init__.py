# SPDX-License-Identifier: Apache-2.0
"""The word: messages to citizens, their sending and their delivery log."""
