# SPDX-License-Identifier: Apache-2.0
"""Ways out of the house: the SMS centre over SMPP 3.4."""
