#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# The same for the steps of an upload.
exec "$(dirname "$0")/55-fault.sh" upload
