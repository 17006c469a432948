# SPDX-License-Identifier: Apache-2.0
"""The pages under ``/audit``: routes, templates, words, static files."""
