/* SPDX-License-Identifier: MIT */
/* maillog_stamp.h - a log line's date, for maillog.c */
#ifndef LIB_MAILLOG_STAMP_H
#define LIB_MAILLOG_STAMP_H

#include "lib/maillog.h"

/* The date that `*rest` begins with, in any of the forms that logs have, and behind it. */
bool maillog_take_stamp(struct slice *rest, struct maillog_stamp *stamp_r);

#endif
