# SPDX-License-Identifier: GPL-2.0-or-later
# toed: one Makefile. Every path is relative, so the checkout may lie anywhere.
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

VERSION	:= 0.1
PREFIX	?= /usr
SYSCONFDIR ?= /etc
BINDIR	?= $(PREFIX)/bin
SBINDIR	?= $(PREFIX)/sbin
LIBDIR	?= $(PREFIX)/lib/toed
MANDIR	?= $(PREFIX)/share/man
UNITDIR	?= $(PREFIX)/lib/systemd/system

CC	= gcc
CLANG	?= clang
BPFTOOL	?= /usr/sbin/bpftool
BPFSTRIP ?= llvm-strip

# ASAN=1: the same code under the address and undefined-behaviour sanitizers.
B	:= build$(if $(ASAN),-asan)
Q	:= $(if $(V),,@)
say	= $(if $(V),@:,@printf '  %-7s %s\n' $(1) '$@')

, := ,
# CFLAGS and LDFLAGS are the user's; what the code needs stands in *_flags.
CFLAGS	?= -O2 -g
san_asan := -fsanitize=address,undefined -fno-omit-frame-pointer
san	:= $(if $(ASAN),$(san_asan))
c_flags	:= -std=gnu11 -D_GNU_SOURCE -DTOE_VERSION='"$(VERSION)"' -DTOE_LIBDIR='"$(LIBDIR)"' \
	   -DCONF_FILE='"$(SYSCONFDIR)/toed.conf"' \
	   -Wall -Wextra -Iinclude -I. -I$(B)/bpf -pthread -MMD -MP $(san)
bpf_flags := -O2 -g -target bpf -mcpu=v3 -Iinclude -Ibpf -I. -Wall -Werror -MMD -MP
toed_libs := -lbpf -lxdp -lmnl -lsystemd -linih -ljson-c -lcap-ng
bpf_libs := -lbpf -lxdp

src	= $(sort $(wildcard $(1)))
objs	= $(patsubst %.c,$(B)/%.o,$(1))
bins	= $(patsubst %.c,$(B)/%,$(1))

bpf_objs := $(patsubst %.c,$(B)/%.o,$(call src,bpf/*.bpf.c))
skels	:= $(bpf_objs:.bpf.o=.skel.h)
toed_objs := $(call objs,$(call src,daemon/*.c))
ctl_objs := $(call objs,$(call src,tools/toectl*.c))
gen_objs := $(call objs,$(call src,tools/tcpgen*.c))
lib_objs := $(call objs,$(call src,lib/*.c))
# The library is optimised as one program, for its functions are small and a request passes some two dozen of its files. The objects
# hold ordinary code as well, which is what the tests link.
lto	:= -flto=auto -ffat-lto-objects
no_lto	:= -fno-use-linker-plugin
gcc_lto	:= $(if $(ASAN),,$(shell $(CC) $(lto) $(no_lto) -c -x c /dev/null -o /dev/null 2>/dev/null && echo yes))
lib_lto	:= $(if $(gcc_lto),$(lto))
lib_ld_flags := -Wl,--version-script=lib/libtoe.map $(if $(ASAN),,-Wl$(,)-z$(,)defs)
helpers	:= $(filter-out %_conn %_judge %_path,$(call bins,$(call src,tests/helpers/*.c)))
bench_bpf := $(patsubst %.c,$(B)/%.o,$(call src,tests/bench/*.bpf.c))
bench_bins := $(call bins,$(filter-out %.bpf.c,$(call src,tests/bench/*.c)))
bench_bpf_bins := $(filter-out %/bulk %/echo,$(bench_bins))
unit_lib := $(call bins,$(call src,tests/unit/lib_*.c))
unit_toed := $(filter-out $(unit_lib),$(call bins,$(call src,tests/unit/*.c)))
units	:= $(unit_lib) $(unit_toed)
bpf_tests := $(call bins,$(call src,tests/bpf/*.c))
fuzzers	:= $(call bins,$(call src,tests/fuzz/*.c))
fuzz_flags := -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize=alignment -fno-sanitize-recover=undefined \
	   -Itests/fuzz/shim -Iinclude -Ibpf -I. -Wall -Wextra -Wno-unused-function -Wno-unused-parameter -Wno-sign-compare \
	   -Wno-unknown-attributes -MMD -MP

all: $(B)/toed $(B)/toectl $(B)/libtoe.so $(B)/tcpgen	## build everything that is installed (no root)
bpf: $(bpf_objs) $(skels)			## the BPF programs and their skeletons
helpers: $(helpers) $(B)/tests/bench/echo		## the tests' helper programs
benchers: $(bench_bins) $(bench_bpf)		## what make bench runs
tests: $(units) $(bpf_tests) $(fuzzers) $(helpers) $(B)/tests/bench/echo $(B)/tests/toed-next	## build all tests, run none

$(B)/toed: $(toed_objs)
	$(call say,LD)
	$(Q)$(CC) $(san) -pthread $(LDFLAGS) -o $@ $^ $(toed_libs)

# A toed of another layout of maps, for a test.
$(B)/tests/toed-next: daemon/layout.c $(filter-out %/layout.o,$(toed_objs))
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -MMD -MP,$(c_flags)) $(CFLAGS) -DTOE_LAYOUT=999 $(LDFLAGS) -o $@ $^ $(toed_libs)

$(B)/toectl: $(ctl_objs)
	$(call say,LD)
	$(Q)$(CC) $(san) $(LDFLAGS) -o $@ $^ -ljson-c

$(B)/tcpgen: $(gen_objs)
	$(call say,LD)
	$(Q)$(CC) $(san) $(LDFLAGS) -o $@ $^ -lbpf -ljson-c

$(B)/libtoe.so: $(lib_objs) lib/libtoe.map
	$(call say,LD)
	$(Q)$(CC) $(san) $(CFLAGS) $(lib_lto) -shared -pthread $(lib_ld_flags) $(LDFLAGS) -o $@ $(lib_objs) -ldl

$(toed_objs) $(gen_objs): | $(skels)
$(lib_objs): c_flags += -fPIC -fvisibility=hidden -fexceptions -ftls-model=initial-exec $(lib_lto)

# "make install PREFIX=..." after "make": what knows the paths is compiled anew.
$(B)/tools/toectl_run.o $(B)/daemon/options.o: $(B)/paths
$(B)/paths: FORCE
	@mkdir -p $(@D); echo '$(LIBDIR) $(SYSCONFDIR)' | cmp -s - $@ || echo '$(LIBDIR) $(SYSCONFDIR)' >$@
FORCE:

$(B)/%.o: %.c
	$(call say,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(c_flags) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(B)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(bpf_flags) -c -o $@ $<
	$(Q)$(BPFSTRIP) -g $@

$(B)/tests/bench/%.bpf.o: tests/bench/%.bpf.c
	$(call say,BPF)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(bpf_flags) -c -o $@ $<
	$(Q)$(BPFSTRIP) -g $@

$(B)/tests/bench/%.skel.h: $(B)/tests/bench/%.bpf.o
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(B)/bpf/%.skel.h: $(B)/bpf/%.bpf.o
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

# Tests link archives: a unit test takes only the modules that it calls.
$(B)/daemon.a: $(filter-out %/main.o,$(toed_objs))
$(B)/lib.a: $(lib_objs)
$(B)/daemon.a $(B)/lib.a:
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

$(unit_lib): %: %.o $(B)/lib.a
	$(call say,LD)
	$(Q)$(CC) $(san) $(if $(gcc_lto),$(no_lto)) -pthread $(LDFLAGS) -o $@ $< $(B)/lib.a -lcmocka -ldl
$(unit_toed): %: %.o $(B)/daemon.a
	$(call say,LD)
	$(Q)$(CC) $(san) -pthread $(LDFLAGS) -o $@ $< $(B)/daemon.a -lcmocka -lm $(toed_libs)
$(bpf_tests): %: %.o
	$(call say,LD)
	$(Q)$(CC) $(san) $(LDFLAGS) -o $@ $< -lcmocka $(bpf_libs)
$(patsubst %,%.o,$(bpf_tests)): | $(skels)
$(B)/tests/helpers/stream: $(B)/tests/helpers/stream_conn.o
$(B)/tests/helpers/link: $(addprefix $(B)/tests/helpers/link_,judge.o path.o)
$(addprefix $(B)/tests/helpers/,anyproc anyexec anyfd anysig anywait anyroom anycall anymoment anylate): $(B)/tests/helpers/flow_conn.o
$(patsubst %,%.o,$(bench_bpf_bins)): c_flags += -I$(B)/tests/bench
$(patsubst %,%.o,$(bench_bpf_bins)): | $(skels) $(bench_bpf:.bpf.o=.skel.h)
$(bench_bpf_bins): %: %.o
	$(call say,LD)
	$(Q)$(CC) $(san) $(LDFLAGS) -o $@ $< -lcmocka $(bpf_libs)
$(B)/tests/helpers/xdpbeside: helper_libs := $(bpf_libs)
$(B)/tests/helpers/jsonget: helper_libs := -ljson-c
$(helpers) $(filter-out $(bench_bpf_bins),$(bench_bins)): %: %.o
	$(call say,LD)
	$(Q)$(CC) $(san) -pthread $(LDFLAGS) -o $@ $^ $(helper_libs)

# The engines natively: the shim stands for the kernel's types and helpers.
$(fuzzers): $(B)/%: %.c
	$(call say,FUZZ)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(fuzz_flags) -o $@ $<

# Root runs the tests, but the build belongs to the owner of the checkout (who may have no name here). An earlier
# "sudo make" may have left outputs of root's.
as_owner = $(if $(filter-out 0,$(shell id -u)),,chown -R --from=0 "$$(stat -c %u:%g .)" build* 2>/dev/null; \
	   setpriv --reuid "$$(stat -c %u .)" --regid "$$(stat -c %g .)" --clear-groups)
build	= $(as_owner) $(MAKE) --no-print-directory $(if $(filter --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: all bpf helpers benchers tests setup unit test soak impaired storm rounds fuzz kernels demo bench install uninstall clean help
setup:						## install missing Debian packages (root)
	tests/setup
unit: $(units)					## run the unit tests (no root)
	tests/run --build "$(B)" unit
test:						## set up, build, run all tests (root); ASAN=1: with sanitizers
	tests/setup
	$(build) all tests
	tests/run --build "$(B)" $(TESTS)
soak:						## the tests again and again for SOAK_MINUTES, 30 (root)
	tests/setup
	$(build) all tests
	tests/run --build "$(B)" --minutes "$(or $(SOAK_MINUTES),30)" netns
impaired:					## goodput over impaired links, kernel and toed; IMPAIRED=quick (root)
	tests/setup
	$(build) all tests
	TOE_BUILD="$(B)" tests/netns/62-impaired.sh "$(or $(IMPAIRED),table)"
fuzz:						## the fuzzers for FUZZ_SECONDS, 600, and a million packets (root)
	tests/setup
	$(build) tests
	tests/fuzz/10-engine.sh --build "$(B)" "$(or $(FUZZ_SECONDS),600)"
	FUZZ_PACKETS=1000000 "$(B)/tests/bpf/fuzz"
kernels:					## boot Debian's kernel in qemu, run some tests there (root)
	tests/setup kernels
	$(build) all tests
	tests/kernels --build "$(B)" $(TESTS)
storm:						## the storm test for STORM_SECONDS, 600; TOE_SEED (root)
	tests/setup
	$(build) all tests
	STORM_SECONDS=$(or $(STORM_SECONDS),600) TOE_BUILD="$(B)" tests/netns/90-storm.sh
rounds:						## connect, offload, kill, ROUNDS times, 100000; what leaks? (root)
	tests/setup
	$(build) all tests
	ROUNDS=$(or $(ROUNDS),100000) TOE_BUILD="$(B)" tests/netns/87-rounds.sh
demo:						## set up, build, show a live move under load (root)
	tests/setup
	$(build) all helpers
	tools/demo --build "$(B)"

bench:						## set up, build, measure kernel and toed; BENCH=quick: under two minutes (root)
	tests/setup
	$(build) all helpers benchers
	tests/bench/run --build "$(B)" $(if $(filter quick,$(BENCH)),--quick,$(if $(ROWS),,--doc doc/benchmarks.md)) $(ROWS)

dest	= "$(DESTDIR)$(1)"
install: all					## install; honours DESTDIR and PREFIX
	install -D -m 755 $(B)/toed $(call dest,$(SBINDIR)/toed)
	install -D -m 755 $(B)/toectl $(call dest,$(BINDIR)/toectl)
	install -D -m 755 $(B)/tcpgen $(call dest,$(BINDIR)/tcpgen)
	install -D -m 755 $(B)/libtoe.so $(call dest,$(LIBDIR)/libtoe.so)
	install -d $(call dest,$(UNITDIR))
	sed 's|/usr/sbin|$(SBINDIR)|' daemon/toed.service >$(call dest,$(UNITDIR)/toed.service)
	test -e $(call dest,$(SYSCONFDIR)/toed.conf) || \
		install -D -m 644 daemon/toed.conf $(call dest,$(SYSCONFDIR)/toed.conf)
	for page in man/*.[1-8]; do install -D -m 644 "$$page" \
		$(call dest,$(MANDIR))/man"$${page##*.}/$${page##*/}" || exit 1; done
uninstall:					## remove what install put there, except toed.conf
	rm -f $(call dest,$(SBINDIR)/toed) $(call dest,$(BINDIR)/toectl) $(call dest,$(BINDIR)/tcpgen) $(call dest,$(UNITDIR)/toed.service)
	rm -f $(call dest,$(LIBDIR)/libtoe.so)
	rmdir $(call dest,$(LIBDIR)) 2>/dev/null || true
	for page in man/*.[1-8]; do rm -f $(call dest,$(MANDIR))/man"$${page##*.}/$${page##*/}"; done
clean:						## remove all outputs
	rm -rf build build-asan
help:						## this text
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

-include $(shell find $(B) -name '*.d' 2>/dev/null)
