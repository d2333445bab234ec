# Two commands matter: `make demo` and `make test`. Both run on a fresh Debian 12 with Rust and install what they need.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help build demo test setup unit ctl ctl-test integration panic soak first-user browser install-test deb fresh-machine bench bench-micro check install uninstall clean

CARGO ?= cargo
APXS  ?= apxs
MPMS  ?= event worker prefork
# A copy: cargo's tests, built without the feature "httpd", put an empty library at target/release/libmod_wsroute.so.
CTL_FLAGS = --release --no-default-features --features ctl
SO    := target/mod_wsroute.so
PANIC_SO := target/mod_wsroute_panic.so
export WSBENCH ?= ../shared/wsbench
export WSROUTE_SO ?= $(CURDIR)/$(SO)

# What `make install` copies, and where to. Without Debian's a2enmod there is no MODS.
PREFIX     ?= /usr/local
LIBEXECDIR  = $(shell $(APXS) -q LIBEXECDIR)
MODS        = $(if $(filter /etc/apache2,$(shell $(APXS) -q SYSCONFDIR)),/etc/apache2/mods-available)
MODULE      = $(LIBEXECDIR)/mod_wsroute.so
COMMAND     = $(PREFIX)/bin/wsroutectl
MAN         = $(PREFIX)/share/man/man8/wsroutectl.8
BASH        = $(PREFIX)/share/bash-completion/completions/wsroutectl
ZSH         = $(PREFIX)/share/zsh/site-functions/_wsroutectl
FISH        = $(PREFIX)/share/fish/vendor_completions.d/wsroutectl.fish
INSTALLED   = $(MODULE) $(COMMAND) $(MAN) $(BASH) $(ZSH) $(FISH) $(if $(MODS),$(MODS)/wsroute.load $(MODS)/wsroute.conf)

# $(call step,NAME,COMMAND): runs it and prints how long it took; the first failure stops make.
define step
@echo "== $(1)"; start=$$SECONDS; ( $(2) ) || { echo "== $(1): FAILED after $$((SECONDS - start)) s"; exit 1; }; \
echo "== $(1): $$((SECONDS - start)) s"
endef

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: ## two real desktops behind the module, for your browser; Ctrl-C ends it
	@tests/setup build demo
	@$(MAKE) --no-print-directory build
	@demo/run

test: ## everything: unit, real httpd on three MPMs, first user's set-ups, browser
	@tests/setup
	@$(MAKE) --no-print-directory build ctl unit ctl-test install-test integration panic first-user browser
	@echo "== all passed"

setup: ## installs the Debian packages that build, demo and tests need
	@tests/setup

build: ## the module, target/mod_wsroute.so
	$(call step,build,$(CARGO) build --release && cp target/release/libmod_wsroute.so $(SO).new && mv $(SO).new $(SO))

ctl: ## the command, target/wsroutectl
	$(call step,ctl,$(CARGO) build $(CTL_FLAGS) && cp target/release/wsroutectl target/wsroutectl)

unit: ## unit tests; they need no httpd, but real databases and Flask
	$(call step,unit,$(CARGO) test --release --no-default-features --lib --test reference --test docs)

ctl-test: build ## the command as it is typed, also beside a real httpd
	$(call step,ctl-test,$(CARGO) test $(CTL_FLAGS) --test ctl)

integration: build ## tests with a real httpd: MPMS="event worker prefork"
	$(call step,integration ($(MPMS)),for mpm in $(MPMS); do echo "-- mpm_$$mpm"; \
	    MPM=$$mpm $(CARGO) test --release --no-default-features --test httpd || exit 1; done)

panic: ## the panic guard, with a module that panics when asked to
	$(call step,panic,$(CARGO) build --release --features panic-test && cp target/release/libmod_wsroute.so $(PANIC_SO) && \
	    WSROUTE_SO=$(CURDIR)/$(PANIC_SO) $(CARGO) test --release --no-default-features --features panic-test --test httpd a_panic)

soak: build ## long runs on event: 10,000 cycles, 2,000 idle, 20 restarts, 200 MB each way
	$(call step,soak,$(CARGO) test --release --no-default-features --test soak -- --nocapture --test-threads=1)
	$(call step,200 MB each way,WSROUTE_SOAK_MB=200 $(CARGO) test --release --no-default-features --test httpd bulk)

first-user: build ## Flask behind the first user's virtual hosts; WSROUTE_LONG=1 idles 65 s
	$(call step,first-user,tests/first_user/run)

browser: build ## the demo in headless Chromium; screenshots in target/browser
	$(call step,browser,tests/browser/run)

install-test: build ctl ## make install and uninstall; the module in an httpd that does not fit; the package's version
	$(call step,install-test,tests/install/run)

deb: ## the Debian package in target/deb, built offline from vendored crates; lintian
	@tests/setup build deb
	$(call step,deb,debian/build-package)

fresh-machine: deb ## the package in a clean Debian 12: the README's own commands, an upgrade, a purge
	@tests/setup fresh
	$(call step,fresh-machine,tests/fresh_machine/run)

bench: ## beside other proxies, written into docs/performance.md, which tells the variables
	@tests/setup bench
	@$(MAKE) --no-print-directory build
	$(call step,bench,benches/compare/run $(STEPS))
	$(call step,report,benches/compare/report)

bench-micro: ## single steps: detection, heads, routing, the frame cursor
	$(call step,bench-micro,$(CARGO) bench --no-default-features --bench micro)

check: ## formatting, clippy, rustdoc, documents, dependencies, shell scripts, all without warnings
	@tests/setup build check
	$(call step,fmt,$(CARGO) fmt --check)
	$(call step,clippy,$(CARGO) clippy --release -- -D warnings)
	$(call step,clippy of the tests,$(CARGO) clippy --release --no-default-features --all-targets -- -D warnings)
	$(call step,clippy of the command,$(CARGO) clippy $(CTL_FLAGS) --all-targets -- -D warnings)
	$(call step,doc,RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --no-deps --document-private-items)
	$(call step,documents,$(CARGO) test --release --no-default-features --test docs --test reference)
	$(call step,dependencies,tests/docs/dependencies)
	$(call step,shell scripts,git ls-files -z | xargs -0 grep -lIE '^#!.*\b(ba)?sh$$' | xargs shellcheck)

install: ## module, command, man page, completions: where apxs says, and PREFIX=/usr/local; honours DESTDIR
	@test -f $(SO) -a -f target/wsroutectl || { echo "run 'make build ctl' first"; exit 1; }
	@test -n "$(LIBEXECDIR)" || { echo "'$(APXS) -q LIBEXECDIR' said nothing: install apache2-dev, or set APXS"; exit 1; }
	install -D -m 644 $(SO) $(DESTDIR)$(MODULE)
	install -D -s -m 755 target/wsroutectl $(DESTDIR)$(COMMAND)
	@for file in "$(MAN) man" "$(BASH) completions bash" "$(ZSH) completions zsh" "$(FISH) completions fish"; do set -- $$file; \
	    echo "target/wsroutectl $$2 $$3 > $(DESTDIR)$$1"; \
	    target/wsroutectl $$2 $$3 | install -D -m 644 /dev/stdin $(DESTDIR)$$1 || exit 1; done
ifneq ($(MODS),)
	install -D -m 644 conf/wsroute.load $(DESTDIR)$(MODS)/wsroute.load
	@if test -f $(DESTDIR)$(MODS)/wsroute.conf; then echo "$(DESTDIR)$(MODS)/wsroute.conf is there already and stays as it is"; else \
	    echo "install conf/wsroute.conf"; install -D -m 644 conf/wsroute.conf $(DESTDIR)$(MODS)/wsroute.conf; fi
	@echo "now: a2enmod wsroute"
else
	@echo "now: LoadModule wsroute_module $(MODULE)   # and the settings of conf/wsroute.conf"
endif

uninstall: ## removes what `make install` copied; on Debian also disables the module
	@test -n "$(LIBEXECDIR)" || { echo "'$(APXS) -q LIBEXECDIR' said nothing: install apache2-dev, or set APXS"; exit 1; }
	@if test -z "$(DESTDIR)" -a -e "$(MODS)/wsroute.load" && type -P a2dismod >/dev/null; then a2dismod -q -f -p wsroute; fi
	rm -f $(INSTALLED:%=$(DESTDIR)%)
	@# Folders of the system stay; those of a DESTDIR go with what was in them.
	@test -z "$(DESTDIR)" || (cd "$(DESTDIR)" && for file in $(INSTALLED); do \
	    rmdir -p --ignore-fail-on-non-empty ".$$(dirname $$file)" 2>/dev/null; done; true)

clean: ## removes target/
	$(CARGO) clean
