//! What shells and man want.

use crate::run::wsroutectl;

#[test]
fn completions_name_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let said = wsroutectl(&["completions", shell]);
        assert_eq!(said.code, 0, "{shell}: {}", said.err);
        for word in ["wsroutectl", "check", "resolve", "lint", "sessions"] {
            assert!(said.out.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(wsroutectl(&["completions", "tcsh"]).code, 2);
}

#[test]
fn the_man_page_has_every_verb_and_option() {
    let said = wsroutectl(&["man"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let verbs = ["THE VERB CHECK", "THE VERB RESOLVE", "THE VERB LINT"];
    for word in [".TH", "sessions", "Exit code", "SEE ALSO"].iter().chain(&verbs) {
        assert!(said.out.contains(word), "{word}");
    }
}

#[test]
fn mistakes_on_the_command_line_are_2() {
    for args in [&[] as &[&str], &["mend"], &["resolve"], &["lint", "--sessions", "many"]] {
        assert_eq!(wsroutectl(args).code, 2, "{args:?}");
    }
}
