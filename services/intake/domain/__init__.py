# SPDX-License-Identifier: Apache-2.0
"""Pure rules of dossiers, codes and deadlines."""
