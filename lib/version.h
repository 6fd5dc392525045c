/* SPDX-License-Identifier: MIT */
/* version.h - what this program is, for --version, /health and the build_info metric */
#ifndef LIB_VERSION_H
#define LIB_VERSION_H

extern const char mailserver_version[]; /* "0.1.0" (semver.org) */
extern const char mailserver_commit[];  /* short git hash, or "unknown" */

#endif
