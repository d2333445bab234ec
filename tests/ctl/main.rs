//! The command wsroutectl as it is typed: one file for each verb, and one for configurations that
//! are good.

#[path = "../harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the harness is shared with tests/httpd")]
mod harness;

mod agrees_with_a_real_httpd;
mod check_is_silent_where_it_works;
mod check_knows_names_and_tls;
mod check_knows_other_servers;
mod check_names_the_cause;
mod check_servers;
mod check_tools;
mod check_verdicts_are_documented;
mod good_configurations_are_silent;
mod lint_finds_what_is_wrong;
mod resolve_decides_as_the_module;
mod run;
mod shell;
