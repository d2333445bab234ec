//! `wsroutectl man`: the page for wsroutectl(8), with every verb in it.

use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;

use crate::output;

/// Prints the page for `command`.
pub fn run(command: Command) -> ExitCode {
    match page(command) {
        Ok(page) => {
            output::print(&page);
            ExitCode::SUCCESS
        }
        Err(e) => output::fail(&format!("cannot write the man page: {e}")),
    }
}

fn page(command: Command) -> std::io::Result<String> {
    let mut page = Vec::new();
    let man = |command: &Command| Man::new(command.clone()).section("8").manual("mod_wsroute");
    let whole = man(&command);
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = verb.get_name();
        let bin = format!("wsroutectl {name}");
        let man = man(&verb.clone().display_name(&bin).bin_name(&bin));
        let mut inside = Vec::new();
        man.render_synopsis_section(&mut inside)?;
        man.render_description_section(&mut inside)?;
        man.render_options_section(&mut inside)?;
        let heading = format!(".SH \"THE VERB {}\"\n", name.to_ascii_uppercase());
        page.extend(heading.bytes());
        // One level below the verb's own heading.
        page.extend(String::from_utf8_lossy(&inside).replace(".SH ", ".SS ").bytes());
    }
    page.extend(b".SH \"SEE ALSO\"\napache2(8), httpd(8)\n");
    Ok(String::from_utf8_lossy(&page).into_owned())
}
