/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/server.h"
#include "cmd/mailserver/command.h"
#include "cmd/mailserver/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
	"usage: mailserver server [-c FILE] [-p PORT] [-m MODE] [-d DATA_DIR] [-t TOKEN]\n"
	"\n"
	"  -c, --config FILE       the configuration (else $MAIL_CONFIG, ./mailserver.yaml, …)\n"
	"  -p, --port PORT         where to listen\n"
	"  -m, --mode MODE         simple, or socket: sockets from systemd\n"
	"  -d, --data-dir DIR      where the embedded database lives\n"
	"  -t, --token TOKEN       bearer_token; better in a file: everybody can read arguments\n"
	"\n"
	"Runs in the foreground until SIGTERM or SIGINT, then finishes what is in flight. Exits 0 "
	"when\n"
	"all of it was finished, 1 when the start failed or shutdown_timeout cut something off. "
	"SIGHUP\n"
	"reads the configuration again: tokens, proxies, certificates and the log change.\n";

enum { MAX_FLAGS = 8 };

static int serve(const struct config_request *request)
{
	struct config_result *result = options_load(request, "server");

	if (result == NULL)
		return 1;
	server_setup_log(config_result_config(result));
	int exit_code = server_run(request, result);
	config_result_free(&result);
	return exit_code;
}

int cmd_server(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "port", required_argument, NULL, 'p' },
		{ "mode", required_argument, NULL, 'm' },
		{ "data-dir", required_argument, NULL, 'd' },
		{ "token", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	static const struct {
		int letter;
		const char *key, *option;
	} keys[] = {
		{ 'p', "port", "--port" },
		{ 'm', "mode", "--mode" },
		{ 'd', "data_dir", "--data-dir" },
		{ 't', "bearer_token", "--token" },
	};
	struct config_override overrides[MAX_FLAGS];
	struct config_request request = { .overrides = overrides, .need_token = true };
	int letter;

	if (command_asks_help(argc, argv, usage))
		return 0;
	while ((letter = getopt_long(argc, argv, "c:p:m:d:t:", options, NULL)) != -1) {
		bool known = letter == 'c';
		if (known)
			request.file = optarg;
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			if (keys[i].letter != letter || request.override_count == MAX_FLAGS)
				continue;
			known = true;
			overrides[request.override_count++] = (struct config_override){
				.key = keys[i].key, .value = optarg, .option = keys[i].option
			};
		}
		if (!known) {
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "mailserver server: \"%s\" is not expected here\n\n%s",
			argv[optind], usage);
		return 2;
	}
	return serve(&request);
}
