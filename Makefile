# `make help` lists the targets. Variables: V=1 shows the commands, WERROR=1 makes warnings errors,
# SAN=address,undefined builds with sanitizers into a directory of its own, ARGS are those of
# `make run`, SUITES what `make test` runs (names or flags in tests/suites).

SAN =
BUILD = build$(if $(SAN),/san)
PREFIX = /usr/local
PKG_CONFIG = pkg-config
SANITIZERS = address,undefined
SUITES = everyday

LIBRARIES = libmicrohttpd sqlite3 jansson libuv nettle gnutls
CLIENT_LIBRARIES = libcurl jansson libuv nettle miniupnpc

# --- what there is ------------------------------------------------------------------------------

# A new program is a name here and, below, a line with what it is linked from.
PROGRAMS = $(BUILD)/signpostd $(BUILD)/signpost
LIBRARY = $(BUILD)/libsignpost.a $(BUILD)/libsignpost.so
SOVERSION = 0
VERSION = $(shell sed -n 's/^.define SIGNPOST_VERSION "\(.*\)"$$/\1/p' server/version.h)

# Where `make install` puts things, below DESTDIR.
LIBDIR = $(PREFIX)/lib
MANDIR = $(PREFIX)/share/man
DATADIR = $(PREFIX)/share/signpost
SYSCONFDIR = $(if $(filter /usr,$(PREFIX)),,$(PREFIX))/etc
UNITDIR = $(PREFIX)/lib/systemd/system
INSTALL_TO = $(DESTDIR)$(PREFIX)
MAN_PAGES = $(wildcard docs/man/*.[1-8])
JS_MODULE = client/js/signpost.js client/js/signpost.d.ts client/js/package.json

# What the index serves as it is; server/pages/files.h says which.
PAGE_FILES = $(wildcard client/js/*.js client/js/*.ts client/js/*.html server/pages/*.html) \
	docs/openapi.json

SERVER_SOURCES = $(wildcard server/*.c server/*/*.c)
CLIENT_FOLDERS = session direct mesh nat
CLIENT_SOURCES = $(wildcard client/*.c $(CLIENT_FOLDERS:%=client/%/*.c))
CLI_SOURCES = $(wildcard client/cli/*.c)
TEST_SOURCES = $(wildcard tests/unit/test_*.c tests/store/test_*.c tests/turn/test_*.c)
EXAMPLE_SOURCES = $(wildcard client/examples/*.c)
CLIENT_TEST_SOURCES = $(wildcard tests/client/test_*.c)
CLIENT_HELPER_SOURCES = $(filter-out $(CLIENT_TEST_SOURCES),$(wildcard tests/client/*.c))
HELPER_SOURCES = $(filter-out $(TEST_SOURCES),$(wildcard tests/unit/*.c tests/store/*.c))
CLIENT_BENCH_SOURCES = $(wildcard tests/bench/client_*.c)
BENCH_SOURCES = $(filter-out $(CLIENT_BENCH_SOURCES),$(wildcard tests/bench/*.c))
LOAD_SOURCES = $(wildcard tests/bench/load/*.c)
CLIENT_COUNT_SOURCES = $(wildcard tests/instructions/client_*.c)
CLIENT_ALL_SOURCES = $(CLIENT_SOURCES) $(CLI_SOURCES) $(CLIENT_TEST_SOURCES) \
	$(CLIENT_HELPER_SOURCES) $(CLIENT_BENCH_SOURCES) $(CLIENT_COUNT_SOURCES) $(EXAMPLE_SOURCES)
SOURCES = $(SERVER_SOURCES) $(TEST_SOURCES) $(HELPER_SOURCES) $(BENCH_SOURCES) $(LOAD_SOURCES)
CLIENT_FUZZ_SOURCES = $(wildcard tests/fuzz/fuzz_client_*.c)
FUZZ_SOURCES = $(filter-out $(CLIENT_FUZZ_SOURCES),$(wildcard tests/fuzz/*.c))

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
GENERATED = $(BUILD)/generated/schema_sql.h
SERVER_ARCHIVE = $(BUILD)/obj/server.a
HELPER_ARCHIVE = $(BUILD)/obj/tests.a
EXAMPLES = $(EXAMPLE_SOURCES:client/%.c=$(BUILD)/%)
TEST_PROGRAMS = $(TEST_SOURCES:%.c=$(BUILD)/%)
CLIENT_TEST_PROGRAMS = $(CLIENT_TEST_SOURCES:%.c=$(BUILD)/%)
BENCH_PROGRAMS = $(BENCH_SOURCES:%.c=$(BUILD)/%)
CLIENT_BENCH_PROGRAMS = $(CLIENT_BENCH_SOURCES:%.c=$(BUILD)/%)
CLIENT_COUNT_PROGRAMS = $(CLIENT_COUNT_SOURCES:%.c=$(BUILD)/%)
STILL = $(BUILD)/tests/instructions/still.so $(BUILD)/tests/instructions/heap.so
BENCHES = $(filter-out %/__init__.py,$(wildcard tests/bench/*.py))
PRELOADS = $(patsubst %.c,$(BUILD)/%.so,$(wildcard tests/faults/*.c))

# --- how it is compiled -------------------------------------------------------------------------

WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Wundef \
	-Wformat=2 $(if $(filter 1 true,$(WERROR) $(CI)),-Werror)
CLIENT_DEFINES = -std=gnu11 -D_GNU_SOURCE -Iclient $(CLIENT_CFLAGS)
PIC = -fPIE
DEFINES = -std=gnu11 -D_GNU_SOURCE -Iserver -I$(BUILD)/generated

ifeq ($(SAN),)
CFLAGS = -O2 -g
# What this compiler, or this machine, does not have is left out.
has_option = $(shell $(CC) -O2 -Werror $(1) -x c -c -o /dev/null /dev/null 2>/dev/null && echo '$(1)')
# The C library warns where it takes 3 for 2.
FORTIFY := $(shell echo '\#include <stdlib.h>' | \
	$(CC) -O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -x c -E - >/dev/null 2>&1 && echo 3 || echo 2)
CODE_HARDENING := $(call has_option,-fcf-protection) $(call has_option,-fstack-clash-protection)
HARDENING = -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(FORTIFY) $(CODE_HARDENING)
else
CFLAGS = -O1 -g
HARDENING = -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
WARNINGS += -Wno-maybe-uninitialized # gcc's manual: with sanitizers it sees what is not there
endif

LIBRARY_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(LIBRARIES) 2>/dev/null)
LIBRARY_LIBS := $(shell $(PKG_CONFIG) --libs $(LIBRARIES) 2>/dev/null)
CLIENT_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(CLIENT_LIBRARIES) 2>/dev/null)
CLIENT_LIBS := $(shell $(PKG_CONFIG) --libs $(CLIENT_LIBRARIES) 2>/dev/null) -lnatpmp
TEST_LIBS := $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null)

COMPILE = $(CC) $(DEFINES) $(CPPFLAGS) $(WARNINGS) $(HARDENING) $(PIC) $(LIBRARY_CFLAGS) $(CFLAGS)
LINK_HARDENING = -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code
LINK = $(CC) $(CFLAGS) $(HARDENING) -pie $(LINK_HARDENING) $(LDFLAGS)

Q = $(if $(V),,@)
say = @printf '  %-4s %s\n' $(1) $(2)

# --- building -----------------------------------------------------------------------------------

all: $(PROGRAMS) $(LIBRARY) ## build the programs (the default; installs nothing)

$(BUILD)/signpostd: $(call objects,server/main.c) $(SERVER_ARCHIVE)

	$(call say,LD,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBRARY_LIBS)

$(BUILD)/signpost: $(call objects,$(CLI_SOURCES)) $(BUILD)/libsignpost.a
	$(call say,LD,$@)
	$(Q)$(LINK) -o $@ $^ $(CLIENT_LIBS)

$(EXAMPLES): $(BUILD)/%: $(BUILD)/obj/client/%.o $(BUILD)/libsignpost.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(CLIENT_LIBS)

$(BUILD)/libsignpost.a: $(call objects,$(CLIENT_SOURCES))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/libsignpost.so: $(call objects,$(CLIENT_SOURCES))
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(HARDENING) -shared -Wl,-soname,libsignpost.so.$(SOVERSION) \
		$(LINK_HARDENING) $(if $(SAN),,-Wl,-z,defs) $(LDFLAGS) -o $@ $^ $(CLIENT_LIBS)

$(SERVER_ARCHIVE): $(call objects,$(filter-out server/main.c,$(SERVER_SOURCES)))
$(HELPER_ARCHIVE): $(call objects,$(HELPER_SOURCES))
$(SERVER_ARCHIVE) $(HELPER_ARCHIVE):
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(TEST_PROGRAMS) $(BENCH_PROGRAMS): $(BUILD)/%: $(BUILD)/obj/%.o $(HELPER_ARCHIVE) $(SERVER_ARCHIVE)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LIBRARY_LIBS) $(TEST_LIBS)

$(BUILD)/tests/bench/load: $(call objects,$(LOAD_SOURCES))

$(CLIENT_TEST_PROGRAMS): $(BUILD)/%: $(BUILD)/obj/%.o \
		$(call objects,$(CLIENT_HELPER_SOURCES)) $(BUILD)/libsignpost.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(CLIENT_LIBS) $(TEST_LIBS)

$(CLIENT_BENCH_PROGRAMS) $(CLIENT_COUNT_PROGRAMS): $(BUILD)/%: $(BUILD)/obj/%.o $(BUILD)/libsignpost.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(CLIENT_LIBS)

# What a test puts under the programs with LD_PRELOAD; without sanitizers, which want to be first.
$(PRELOADS) $(STILL): $(BUILD)/%.so: %.c | toolchain
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(DEFINES) $(WARNINGS) -O2 -g -shared -fPIC -fno-builtin -o $@ $<

# The library may stand in an application: its own names stay inside it.
$(BUILD)/obj/client/%.o $(BUILD)/obj/tests/client/%.o $(BUILD)/obj/tests/bench/client_%.o \
$(BUILD)/obj/tests/instructions/client_%.o: DEFINES = $(CLIENT_DEFINES)
$(BUILD)/obj/client/%.o: PIC = -fPIC -fvisibility=hidden

# Also by another Makefile: the flags are part of what an object is.
$(BUILD)/obj/%.o: %.c Makefile | toolchain $(GENERATED)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

$(BUILD)/obj/server/pages/files.o: $(PAGE_FILES)

# The schema as one C string: each line is a literal of its own that ends with \n.
$(BUILD)/generated/schema_sql.h: schema.sql
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q){ echo 'static const char schema_sql[] ='; \
		sed -e 's/[\\"]/\\&/g' -e 's/.*/    "&\\n"/' -e '$$s/$$/;/' schema.sql; } >$@.part
	$(Q)mv $@.part $@

# Says in one line what to do instead of letting the compiler complain about each header.
toolchain:
	@command -v $(CC) >/dev/null && $(PKG_CONFIG) --exists $(LIBRARIES) $(CLIENT_LIBRARIES) 2>/dev/null || { \
		echo 'A compiler, pkg-config or a library is missing: run `make run` or `make setup`,' \
			'which install what is needed.' >&2; exit 1; }

-include $(patsubst %.o,%.d,$(call objects,$(SOURCES) $(CLIENT_ALL_SOURCES)))

# --- running and testing ------------------------------------------------------------------------

# What follows a set-up runs in a make of its own, so that it sees what was installed.

run: ## install what is missing, build, and run the index (ARGS="--listen ...")
	@tests/setup build
	@$(MAKE) --no-print-directory all
	@exec $(BUILD)/signpostd $(ARGS)

examples: $(EXAMPLES) ## build the examples of the library, in $(BUILD)/examples

setup: setup-build ## install what the build needs
setup-%: ## install what a group of tests/packages needs (setup-test, setup-lint, ...)
	@tests/setup $*

test: ## install what is missing, build, and run the tests (SUITES="everyday")
	@tests/setup build $(SUITES:%=suites:%)
	@$(MAKE) --no-print-directory tests
	@tests/run --build $(BUILD) $(SUITES)

tests: $(PROGRAMS) $(LIBRARY) $(EXAMPLES) $(TEST_PROGRAMS) $(CLIENT_TEST_PROGRAMS) $(PRELOADS) ## build the programs and the tests

check: ## the tests, the lint, and the tests again under the sanitizers
	@$(MAKE) --no-print-directory test
	@tests/setup lint
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test SAN=$(SANITIZERS) BUILD=$(BUILD)/san

test-valgrind: ## install what is missing, and run the tests of the client under valgrind
	@tests/setup build suites:client valgrind
	@$(MAKE) --no-print-directory tests
	@tests/run --build $(BUILD) --valgrind client

# The programs as they are built otherwise; tests/instructions/budget is what each may take.
instructions: instructions-build ## install what is missing, and count instructions of the hot paths (ARGS="--write")
	@tests/instructions/measure --build $(BUILD) $(ARGS)

instructions-selftest: instructions-build ## plant a slowdown in the index, and see it found by its instructions
	@tests/instructions/selftest $(BUILD)

instructions-build:
	@tests/setup build instructions
	@$(MAKE) --no-print-directory all $(EXAMPLES) $(STILL) $(CLIENT_COUNT_PROGRAMS)

# The server's own code as it is, without what hardening adds; what a test kills leaves no counts.
COVERAGE_SUITES = unit store http
COVERAGE_LEAST = 85
coverage: ## install what is missing, and show which lines of the server COVERAGE_SUITES run
	@tests/setup build $(COVERAGE_SUITES:%=suites:%)
	$(Q)rm -f $$(find $(BUILD)/coverage -name '*.gcda' 2>/dev/null)
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/coverage CFLAGS='-O0 -g --coverage' HARDENING= CI= WERROR= tests
	@tests/run --build $(BUILD)/coverage $(COVERAGE_SUITES)
	@tests/coverage $(BUILD)/coverage --least $(COVERAGE_LEAST)

# A target is tests/fuzz/fuzz_NAME.c with the corpus tests/fuzz/corpus/NAME, and perhaps the
# dictionary tests/fuzz/NAME.dict. It is linked with the index, or, where its NAME begins with
# client_, with the client. Two run at a time.
FUZZ_BUILD = $(BUILD)/fuzz
FUZZ_TARGETS = $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_HELPERS = $(filter-out $(wildcard tests/fuzz/fuzz_*.c),$(wildcard tests/fuzz/*.c))
FUZZ_FLAGS = -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all
FUZZ_LINK = clang -g -fsanitize=fuzzer,address,undefined
SECONDS = 60
fuzz_objects = $(patsubst %.c,$(FUZZ_BUILD)/obj/%.o,$(1))

fuzz: ## install what is missing, and fuzz for SECONDS=60 each (FUZZ_TARGETS="request codec")
	@tests/setup build fuzz
	@$(MAKE) -s --no-print-directory $(FUZZ_TARGETS:%=$(FUZZ_BUILD)/%)
	$(Q)printf '%s\n' $(FUZZ_TARGETS) | xargs -P2 -n1 tests/fuzz/run $(FUZZ_BUILD) $(SECONDS)

$(FUZZ_BUILD)/obj/client/%.o $(FUZZ_BUILD)/obj/tests/fuzz/fuzz_client_%.o: DEFINES = $(CLIENT_DEFINES)
$(FUZZ_BUILD)/obj/%.o: %.c | toolchain $(GENERATED)
	$(call say,FUZZ,$<)
	$(Q)mkdir -p $(@D)
	$(Q)clang $(FUZZ_FLAGS) $(DEFINES) $(LIBRARY_CFLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_BUILD)/server.a: $(call fuzz_objects,$(FUZZ_HELPERS) $(filter-out server/main.c,$(SERVER_SOURCES)))
$(FUZZ_BUILD)/client.a: $(call fuzz_objects,$(CLIENT_SOURCES))
$(FUZZ_BUILD)/server.a $(FUZZ_BUILD)/client.a:
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(FUZZ_BUILD)/client_%: $(FUZZ_BUILD)/obj/tests/fuzz/fuzz_client_%.o $(FUZZ_BUILD)/client.a
	$(Q)$(FUZZ_LINK) -o $@ $^ $(CLIENT_LIBS)

$(FUZZ_BUILD)/%: $(FUZZ_BUILD)/obj/tests/fuzz/fuzz_%.o $(FUZZ_BUILD)/server.a
	$(Q)$(FUZZ_LINK) -o $@ $^ $(LIBRARY_LIBS)

.PRECIOUS: $(FUZZ_BUILD)/obj/%.o
$(FUZZ_BUILD)/obj/server/pages/files.o: $(PAGE_FILES)

-include $(patsubst %.o,%.d,$(call fuzz_objects,$(FUZZ_HELPERS) $(SERVER_SOURCES) $(CLIENT_SOURCES) \
	$(wildcard tests/fuzz/fuzz_*.c)))

api: ## write docs/openapi.json and docs/api.md anew, from docs/openapi/*.py
	$(Q)PYTHONDONTWRITEBYTECODE=1 python3 -m docs.openapi

demo: all ## two peers meet over the index, with nothing but curl
	@SIGNPOSTD=$(abspath $(BUILD)/signpostd) sh tests/e2e/demo.sh

bench: ## install what is missing, and measure: a script a question, in tests/bench
	@tests/setup build test bench
	@$(MAKE) --no-print-directory all $(BENCH_PROGRAMS) $(CLIENT_BENCH_PROGRAMS) $(CLIENT_COUNT_PROGRAMS)
	@for bench in $(BENCHES); do echo "$$bench"; /usr/bin/python3 $$bench || exit; done

performance: ## write docs/performance.md and its pictures anew, from what `make bench` measured last
	$(Q)PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m tests.bench.lib.performance

# --- linting ------------------------------------------------------------------------------------

LINT_SOURCES = $(SOURCES) $(FUZZ_SOURCES) $(wildcard tests/faults/*.c) \
	tests/instructions/still.c tests/instructions/heap.c
LINT_CLIENT_SOURCES = $(CLIENT_ALL_SOURCES) $(CLIENT_FUZZ_SOURCES)
LINT_FILES = $(LINT_SOURCES) $(LINT_CLIENT_SOURCES) \
	$(wildcard server/*.h server/*/*.h client/*.h client/*/*.h tests/*/*.h tests/bench/*/*.h)

lint: lint-includes lint-format lint-cppcheck lint-analyzer lint-tidy ## format, includes, cppcheck, clang-tidy, gcc -fanalyzer

lint-includes:
	$(call say,LINT,includes)
	$(Q)tests/lint/includes

lint-format:
	$(call say,LINT,clang-format)
	$(Q)clang-format --dry-run -Werror $(LINT_FILES)

CPPCHECK = cppcheck --quiet -j2 --std=c11 --enable=warning,performance,portability,style \
	--inline-suppr --error-exitcode=1 --suppressions-list=tests/lint/cppcheck.suppressions \
	-D_GNU_SOURCE -D__GNUC__

lint-cppcheck: $(GENERATED)
	$(call say,LINT,cppcheck)
	$(Q)$(CPPCHECK) -Iserver -I$(BUILD)/generated $(LINT_SOURCES)
	$(if $(LINT_CLIENT_SOURCES),$(Q)$(CPPCHECK) -Iclient $(LINT_CLIENT_SOURCES))

# Of the tests it knows too little: that a failed assertion of cmocka's does not return.
lint-analyzer: $(GENERATED)
	$(call say,LINT,gcc-analyzer)
	$(Q)printf '%s\n' $(filter server/%,$(LINT_SOURCES)) | \
		xargs -r -P2 -n1 tests/lint/analyze $(DEFINES) $(LIBRARY_CFLAGS)
	$(Q)printf '%s\n' $(filter client/%,$(LINT_CLIENT_SOURCES)) | \
		xargs -r -P2 -n1 tests/lint/analyze $(CLIENT_DEFINES)

lint-tidy: $(GENERATED)
	$(call say,LINT,clang-tidy)
	$(Q)printf '%s\n' $(LINT_SOURCES) | \
		xargs -P2 -n1 tests/lint/tidy $(DEFINES) $(WARNINGS) $(LIBRARY_CFLAGS)
	$(Q)printf '%s\n' $(LINT_CLIENT_SOURCES) | \
		xargs -r -P2 -n1 tests/lint/tidy $(CLIENT_DEFINES) $(WARNINGS)

lint-selftest: ## plant a fault for each lint, the tests and each sanitizer, and see each found
	@tests/lint/selftest

# --- the rest -----------------------------------------------------------------------------------

# Paths below the prefix are written so in the .pc file: then the tree may be moved.
install: all ## install into $(DESTDIR)$(PREFIX)
	install -d $(INSTALL_TO)/bin $(INSTALL_TO)/include $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 755 $(PROGRAMS) $(INSTALL_TO)/bin
	install -m 644 client/signpost.h $(INSTALL_TO)/include
	install -m 644 $(BUILD)/libsignpost.a $(DESTDIR)$(LIBDIR)
	install -m 755 $(BUILD)/libsignpost.so $(DESTDIR)$(LIBDIR)/libsignpost.so.$(VERSION)
	ln -sf libsignpost.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libsignpost.so.$(SOVERSION)
	ln -sf libsignpost.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libsignpost.so
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
		client/signpost.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/signpost.pc
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/signpost.pc
	for page in $(MAN_PAGES); do \
		install -D -m 644 -t $(DESTDIR)$(MANDIR)/man$${page##*.} $$page || exit; done
	install -D -m 644 client/cli/completion.bash \
		$(INSTALL_TO)/share/bash-completion/completions/signpost
	install -D -m 644 client/cli/_signpost $(INSTALL_TO)/share/zsh/site-functions/_signpost
	install -D -m 644 -t $(DESTDIR)$(DATADIR) $(JS_MODULE)
	install -D -m 644 -t $(INSTALL_TO)/share/doc/signpost LICENSE
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)/signpost
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|' \
		server/signpostd.service.in >$(DESTDIR)$(UNITDIR)/signpostd.service
	chmod 644 $(DESTDIR)$(UNITDIR)/signpostd.service
	test -e $(DESTDIR)$(SYSCONFDIR)/signpost/signpostd.conf || \
		install -m 644 docs/signpostd.conf $(DESTDIR)$(SYSCONFDIR)/signpost

uninstall: ## remove what `make install` has put there, but the options in SYSCONFDIR
	rm -f $(PROGRAMS:$(BUILD)/%=$(INSTALL_TO)/bin/%) $(INSTALL_TO)/include/signpost.h
	rm -f $(DESTDIR)$(LIBDIR)/libsignpost.a $(DESTDIR)$(LIBDIR)/libsignpost.so \
		$(DESTDIR)$(LIBDIR)/libsignpost.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libsignpost.so.$(VERSION) \
		$(DESTDIR)$(LIBDIR)/pkgconfig/signpost.pc
	for page in $(notdir $(MAN_PAGES)); do rm -f $(DESTDIR)$(MANDIR)/man$${page##*.}/$$page; done
	rm -f $(INSTALL_TO)/share/bash-completion/completions/signpost \
		$(INSTALL_TO)/share/zsh/site-functions/_signpost $(DESTDIR)$(UNITDIR)/signpostd.service
	rm -rf $(DESTDIR)$(DATADIR) $(INSTALL_TO)/share/doc/signpost

clean: ## remove what was built
	rm -rf $(BUILD)

help: ## this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

.DEFAULT_GOAL = all
.DELETE_ON_ERROR:
.PHONY: all toolchain run examples setup test tests check test-valgrind instructions \
	instructions-selftest instructions-build coverage fuzz api demo bench performance lint lint-includes lint-format \
	lint-cppcheck lint-analyzer lint-tidy lint-selftest install uninstall clean help
