# SPDX-License-Identifier: Apache-2.0
"""What the machine does for citizens and staff, one act after the other, crash-safe."""
