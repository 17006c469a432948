# SPDX-License-Identifier: Apache-2.0
"""The services of Một Cửa 24/7 and what they share."""
