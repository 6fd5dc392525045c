# SPDX-License-Identifier: MIT
# `make help` lists the targets. Variants (V=debug|release|asan|tsan|fuzz) build in trees of their own.

V       ?= release
B       := build/$(V)
PREFIX  ?= /usr/local
COMMIT  := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
PY      := /usr/bin/python3
JOBS    ?= 2# processes of system tests at once

# Everything this project needs from Debian 12: to build, then to test. Only `make deps` installs.
BUILD_DEPS := gcc g++ pkg-config libh2o-evloop-dev libgmime-3.0-dev libpq-dev libcyaml-dev \
	libsqlite3-dev libssl-dev zlib1g-dev libsystemd-dev libjansson-dev libyaml-dev \
	libvalijson-dev nlohmann-json3-dev libhiredis-dev libuchardet-dev libcurl4-openssl-dev \
	curl sqlite3
TEST_DEPS  := check libytnef0-dev json-schema-test-suite clang-format cppcheck \
	postgresql-15 redis-server prometheus openssl haproxy pgbouncer ruby-actionmailbox \
	python3-pytest python3-requests python3-psycopg2 python3-yaml swaks libnss-wrapper \
	libdb5.3 libicu72 libnsl2 libsasl2-2 libgnutls-dane0 libidn12 libpcre2-8-0
# Of which a machine can have but one installed, and need not have any: run from where they lie.
MTAS       := postfix exim4-daemon-light
FUZZ_DEPS  := clang libclang-rt-14-dev
BENCH_DEPS := wrk postgresql-15 python3-requests python3-psycopg2 python3-matplotlib \
	$(if $(shell command -v npm),,nodejs npm)

SYSTEMD  := $(shell pkg-config --exists libsystemd 2>/dev/null && echo libsystemd)
PKGS     := $(SYSTEMD) libh2o-evloop gmime-3.0 libpq libcyaml sqlite3 openssl zlib jansson \
	yaml-0.1 hiredis uchardet
PKG_INC  := $(subst -I,-isystem ,$(shell pkg-config --cflags $(PKGS) 2>/dev/null))
PKG_LIB  := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
WARN     := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wvla -Wundef -Wformat=2 \
	-Wno-unused-parameter
WARN_C   := -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
CPPFLAGS := -I. -D_GNU_SOURCE -DH2O_USE_LIBUV=0 $(if $(SYSTEMD),-DHAVE_LIBSYSTEMD) $(PKG_INC) -MMD -MP
HARDEN   := -fstack-protector-strong -fPIE -pthread
OPT_release := -O2 -g -D_FORTIFY_SOURCE=2
OPT_debug   := -O0 -g3
OPT_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
OPT_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
OPT_fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=undefined
ifeq ($(V),fuzz)
CC := clang
endif
CFLAGS   := -std=gnu11 $(WARN) $(WARN_C) $(HARDEN) $(OPT_$(V))
CXXFLAGS := -std=c++17 $(WARN) $(HARDEN) $(OPT_$(V))
LDFLAGS  := -pie -pthread $(filter -fsanitize%,$(OPT_$(V))) -Wl,-z,relro,-z,now

LIB_SRC  := $(wildcard lib/*.c lib/*/*.c lib/*/*.cc storage/*.c storage/*/*.c middleware/*.c \
	cmd/mailserver/*/*.c)
CMD_SRC  := $(wildcard cmd/mailserver/*.c)
UNIT_SRC := $(wildcard tests/unit/check_*.c)
HELP_SRC := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
objs      = $(patsubst %,$(B)/%.o,$(basename $(1)))
UNITS    := $(patsubst tests/unit/%.c,$(B)/tests/%,$(UNIT_SRC))
C_FILES   = $(shell git ls-files -co --exclude-standard '*.c' '*.h' '*.cc')

.PHONY: all help deps run test tested unit system torture bench bench-costs bench-mta fuzz golden lint \
	format install clean
.SECONDARY:

all: $(B)/bin/mailserver ## build the server (V=release unless said otherwise)

# The front is what people call; it holds `deliver`, and needs next to no library for it.
FULL     := $(B)/libexec/mailserver/mailserver
FRONT_SRC := cmd/front/main.c cmd/mailserver/deliver.c cmd/mailserver/help.c

$(B)/bin/mailserver: $(call objs,$(FRONT_SRC)) $(B)/libmailserver.a $(FULL)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $(filter-out $(FULL),$^) -l:libjansson.a

$(FULL): $(call objs,$(CMD_SRC)) $(B)/libmailserver.a
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CXX) $(LDFLAGS) -o $@ $^ $(PKG_LIB) -lm

$(B)/libmailserver.a: $(call objs,$(LIB_SRC))
	@echo "  AR    $@"
	@rm -f $@ && ar rcs $@ $^

$(B)/tests/%: $(B)/tests/unit/%.o $(call objs,$(HELP_SRC)) $(B)/libmailserver.a
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CXX) $(LDFLAGS) -o $@ $^ $(PKG_LIB) $(shell pkg-config --libs check) $(TEST_LIB) -lm

$(B)/tests/check_mime_tnef: TEST_LIB := -lytnef

# The bench's own: the server with a storage that keeps nothing in the Postgres driver's place, and
# the database without a server.
$(B)/bench/mailserver-null: $(call objs,$(CMD_SRC)) $(B)/tests/bench/null_driver.o $(B)/libmailserver.a
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CXX) $(LDFLAGS) -o $@ $^ $(PKG_LIB) -lm

$(B)/bench/bare: $(B)/tests/bench/bare.o $(B)/libmailserver.a
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs libpq libcrypto)

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(B)/%.o: %.cc Makefile
	@mkdir -p $(@D)
	@echo "  CXX   $<"
	@$(CXX) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

# A message's parse as JSON, for the tests that compare and for whoever wants to look.
$(B)/tests/mime_json: $(B)/tests/mime/mime_json.o $(B)/libmailserver.a
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIB)

# The fuzzer's: lib/mime and what it stands on, with clang's coverage and sanitizers.
$(B)/fuzz/fuzz_mime: $(call objs,$(wildcard lib/mime/*.c) lib/arena.c lib/buf.c lib/digest.c \
		lib/utf8.c tests/unit/mime_sound.c tests/fuzz/fuzz_mime.c)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(subst fuzzer-no-link,fuzzer,$(LDFLAGS)) -o $@ $^ \
		$(shell pkg-config --libs gmime-3.0 uchardet openssl jansson)

# Files that are compiled into the binary by .incbin, which -MMD does not see.
$(B)/lib/config/embedded.o: schemas/config.schema.json
$(B)/lib/redis/shared_bucket.o: lib/redis/bucket.lua
$(B)/storage/postgres/migrations.o: $(wildcard storage/postgres/migrations/*.sql)
$(B)/storage/sqlite/migrations.o: $(wildcard storage/sqlite/migrations/*.sql)
$(B)/lib/version.o: CPPFLAGS += -DCOMMIT='"$(COMMIT)"'

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what is missing, by apt
	@sh tests/deps.sh $(BUILD_DEPS) $(TEST_DEPS)
	@sh tests/deps.sh --unpack build/mta $(MTAS)

run: ## build what is missing and start a server on 127.0.0.1:3000 with a database in data/
	@sh tests/deps.sh $(BUILD_DEPS)
	@$(MAKE) --no-print-directory -s all
	@sh configs/run.sh $(B)/bin/mailserver

test: deps ## everything: lint, unit tests (also under ASan and UBSan), system tests
	$(MAKE) lint
	$(MAKE) -j$(shell nproc) V=release tested
	$(MAKE) V=release unit
	$(MAKE) -j$(shell nproc) V=asan tested
	$(MAKE) V=asan unit system

# What the tests need, all at once.
tested: all $(UNITS) $(B)/tests/mime_json

unit: $(UNITS) ## the unit tests of this variant
	@$(PY) tests/unit/run.py $(UNITS)

system: $(B)/bin/mailserver $(UNITS) $(B)/tests/mime_json ## the system tests, against this variant's server
	MAILSERVER=$(CURDIR)/$< CHECKS=$(CURDIR)/$(B)/tests \
		$(PY) tests/system/run.py $(JOBS) -q -rs -p no:cacheprovider tests/system

TORTURES := $(wildcard tests/system/test_6[123789]_*.py tests/system/test_71_*.py)

torture: deps ## what `make test` does to server and database a few times, many times; some minutes
	@$(MAKE) --no-print-directory -s all
	TORTURE=1 MAILSERVER=$(CURDIR)/$(B)/bin/mailserver \
		$(PY) -m pytest -q -rs -p no:cacheprovider $(TORTURES)

BENCH_BIN := all build/release/bench/mailserver-null build/release/bench/bare

bench: ## speed beside what the machine allows, and beside a peer: a table, build/bench/*.json, *.svg
	@sh tests/deps.sh $(BUILD_DEPS) $(BENCH_DEPS)
	@$(MAKE) --no-print-directory -s V=release $(BENCH_BIN)
	MAILSERVER=$(CURDIR)/build/release/bin/mailserver $(PY) tests/bench/bench.py $(OPTIONS)

bench-costs: ## what the choices in Postgres' schema cost
	@sh tests/deps.sh $(BUILD_DEPS) $(BENCH_DEPS)
	@$(MAKE) --no-print-directory -s V=release $(BENCH_BIN)
	MAILSERVER=$(CURDIR)/build/release/bin/mailserver $(PY) tests/bench/costs.py $(OPTIONS)

bench-mta: ## messages a second through Postfix, with `mailserver deliver` and with curl; needs root
	@sh tests/deps.sh $(BUILD_DEPS) $(BENCH_DEPS) $(TEST_DEPS)
	@sh tests/deps.sh --unpack build/mta $(MTAS)
	@$(MAKE) --no-print-directory -s V=release all
	MAILSERVER=$(CURDIR)/build/release/bin/mailserver $(PY) tests/bench/mta.py $(OPTIONS)

golden: build/release/tests/mime_json ## accept what lib/mime makes of the samples; BEFORE=old mime_json
	$(PY) tests/mime/golden.py $(if $(BEFORE),--before $(BEFORE))

fuzz: ## fuzz lib/mime for TIME seconds (60); what it finds lies in build/fuzz/finds/
	@sh tests/deps.sh $(BUILD_DEPS) $(FUZZ_DEPS)
	@$(MAKE) --no-print-directory -s V=fuzz build/fuzz/fuzz/fuzz_mime
	@sh tests/fuzz/run.sh build/fuzz/fuzz/fuzz_mime $(or $(TIME),60) $(OPTIONS)

lint: ## layering, formatting, cppcheck
	$(PY) tests/lint.py
	@clang-format --dry-run -Werror $(C_FILES)
	cppcheck -q -j2 --enable=warning,portability,performance --inline-suppr --error-exitcode=1 \
		--suppress=missingIncludeSystem --suppress=uninitMemberVar -I. -D__GNUC__ \
		-i tests $(wildcard lib storage middleware cmd)

format: ## clang-format in place
	clang-format -i $(C_FILES)

install: all ## DESTDIR and PREFIX are obeyed
	install -Dm755 $(B)/bin/mailserver $(DESTDIR)$(PREFIX)/bin/mailserver
	install -Dm755 $(FULL) $(DESTDIR)$(PREFIX)/libexec/mailserver/mailserver
	install -Dm644 configs/mailserver.yaml $(DESTDIR)$(PREFIX)/share/mailserver/mailserver.yaml
	install -Dm644 schemas/config.schema.json $(DESTDIR)$(PREFIX)/share/mailserver/config.schema.json

clean: ## remove build/
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
