# Two commands matter: `make demo` and `make test`. Both run on a fresh Debian 12 with Rust and install what they need.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help build demo test setup unit ctl ctl-test integration panic soak first-user browser check install uninstall clean

CARGO ?= cargo
APXS  ?= apxs
MPMS  ?= event worker prefork
# A copy: cargo's tests, built without the feature "httpd", put an empty library at target/release/libmod_wsroute.so.
CTL_FLAGS = --release --no-default-features --features ctl
SO    := target/mod_wsroute.so
PANIC_SO := target/mod_wsroute_panic.so
export WSROUTE_SO ?= $(CURDIR)/$(SO)
LIBEXECDIR = $(shell $(APXS) -q LIBEXECDIR)

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
	@$(MAKE) --no-print-directory build ctl unit ctl-test integration panic first-user browser
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

install: ## copies the built module to httpd's modules, and the command; honours DESTDIR
	@test -f $(SO) || { echo "run 'make build' first"; exit 1; }
	install -D -m 644 $(SO) $(DESTDIR)$(LIBEXECDIR)/mod_wsroute.so
	@test ! -f target/wsroutectl || install -D -s -m 755 target/wsroutectl $(DESTDIR)/usr/local/bin/wsroutectl
	@echo "LoadModule wsroute_module $(LIBEXECDIR)/mod_wsroute.so   # and the settings of conf/wsroute.conf"

uninstall: ## removes the installed module
	rm -f $(DESTDIR)$(LIBEXECDIR)/mod_wsroute.so $(DESTDIR)/usr/local/bin/wsroutectl

clean: ## removes target/
	$(CARGO) clean
