# SPDX-License-Identifier: Apache-2.0
"""Parts of ``make chaos``: the plan, the harms, the subscribers, the verdict."""
