/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/command.h"
#include "lib/digest.h"
#include "lib/ids.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
	"usage: mailserver token [--quiet]\n"
	"\n"
	"Makes a fresh token of 256 random bits, and the SHA-256 digest of its text.\n"
	"\n"
	"  -q, --quiet  print the token alone, as a file for bearer_token_file has it\n";

enum { RANDOM_BYTES = 32 };

static void print_token(bool quiet)
{
	uint8_t random[RANDOM_BYTES], digest[SHA256_BYTES];
	char token[2 * RANDOM_BYTES + 1], digest_hex[SHA256_HEX + 1];

	random_bytes(random, sizeof(random));
	hex_encode(random, sizeof(random), token);
	if (quiet) {
		puts(token);
		return;
	}
	sha256(token, 2 * RANDOM_BYTES, digest);
	hex_encode(digest, sizeof(digest), digest_hex);
	printf("token:  %s\n"
	       "sha256: %s\n"
	       "\n"
	       "Callers send \"Authorization: Bearer TOKEN\". As the one token with every scope, "
	       "it "
	       "goes to the\n"
	       "server into the file that bearer_token_file names, readable by the server alone.\n"
	       "\n"
	       "The digest names the token without giving it away. It can stand in the "
	       "configuration instead of\n"
	       "the token:\n"
	       "\n"
	       "tokens:\n"
	       "  - name: a-name-for-the-log\n"
	       "    scopes: [ingest]\n"
	       "    sha256: %s\n"
	       "\n"
	       "This output is the only copy of the token.\n",
		token, digest_hex, digest_hex);
}

int cmd_token(int argc, char **argv)
{
	static const struct option known[] = {
		{ "quiet", no_argument, NULL, 'q' },
		{ 0 },
	};
	bool quiet = false;
	int option;

	if (command_asks_help(argc, argv, usage))
		return 0;
	while ((option = getopt_long(argc, argv, "q", known, NULL)) == 'q')
		quiet = true;
	if (option != -1 || optind != argc) {
		fputs(usage, stderr);
		return 2;
	}
	print_token(quiet);
	return 0;
}
