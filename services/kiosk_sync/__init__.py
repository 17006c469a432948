# SPDX-License-Identifier: Apache-2.0
"""The fleet: journals up, orders down, enrolment; and the program on the machine."""
