# SPDX-License-Identifier: Apache-2.0
"""What an auditor asks; folded by the services' own folds."""
