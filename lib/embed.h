/* SPDX-License-Identifier: MIT */
/* embed.h - files compiled into the binary
 *
 * EMBED(name, "path/from/the/root") defines `const char name[]`, the file's bytes with a NUL behind
 * them. The Makefile names the files an object embeds: the compiler does not see them. */
#ifndef LIB_EMBED_H
#define LIB_EMBED_H

#define EMBED(name, path)                                                                          \
	extern const char name[];                                                                  \
	__asm__(".pushsection .rodata\n"                                                           \
		".global " #name "\n" #name ":\n"                                                  \
		".incbin \"" path "\"\n"                                                           \
		".byte 0\n"                                                                        \
		".popsection\n")

#endif
