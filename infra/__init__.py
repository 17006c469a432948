# SPDX-License-Identifier: Apache-2.0
"""What surrounds the services: local servers, sandboxes, the command line."""
