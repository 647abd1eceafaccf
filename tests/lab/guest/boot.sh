# SPDX-License-Identifier: Apache-2.0
# Nothing: whoever sees the end knows that this kernel boots.
true
