# SPDX-License-Identifier: Apache-2.0
"""One SQLite file: journal, what follows from it, and what is still to be sent."""
