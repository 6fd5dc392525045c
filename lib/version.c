/* SPDX-License-Identifier: MIT */
#include "lib/version.h"

const char mailserver_version[] = "0.1.0";
const char mailserver_commit[] = COMMIT;
