# SPDX-License-Identifier: Apache-2.0
"""The pages under ``/subscribers``: routes, templates, words, static files."""
