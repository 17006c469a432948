# SPDX-License-Identifier: Apache-2.0
"""The program on the machine: takes in, gives out, and works without a network for days."""
