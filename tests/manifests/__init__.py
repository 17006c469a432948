# SPDX-License-Identifier: Apache-2.0
"""What Kubernetes gets, rendered and checked without a cluster."""
