# SPDX-License-Identifier: Apache-2.0
"""Devices: what the program may ask of them, and simulators that keep mechanical state."""
