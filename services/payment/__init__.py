# SPDX-License-Identifier: Apache-2.0
"""Payment: fees, cash, VietQR and the ledger."""
