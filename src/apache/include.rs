//! Which files an `Include` names.

use std::fs;
use std::path::{Path, PathBuf};

use super::pattern::wildcard;

/// The files that `pattern` (absolute) names, in httpd's order: wildcards are expanded folder by
/// folder, names sorted; a folder stands for all files below it.
///
/// # Errors
/// A path that is not there, or a wildcard that nothing matches: what is wrong, as one line.
pub fn files(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let name = part.as_os_str().to_string_lossy();
        let expand = |folder: PathBuf| match name.contains(['*', '?', '[']) {
            true => matching(&folder, &name),
            false => vec![folder.join(part)],
        };
        found = found.into_iter().flat_map(expand).collect();
    }
    found.retain(|path| path.exists());
    if found.is_empty() {
        return Err(format!(
            "nothing is at {}, use IncludeOptional if that is right",
            pattern.display()
        ));
    }
    Ok(found.into_iter().flat_map(below).collect())
}

/// What matches in `folder`, sorted; hidden names only if the wildcard says so.
fn matching(folder: &Path, name: &str) -> Vec<PathBuf> {
    let Some(regex) = wildcard(name) else { return Vec::new() };
    let fits = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        regex.is_match(&file) && file.starts_with('.') == name.starts_with('.')
    };
    entries(folder).into_iter().filter(fits).collect()
}

fn below(path: PathBuf) -> Vec<PathBuf> {
    match path.is_dir() {
        true => entries(&path).into_iter().flat_map(below).collect(),
        false => vec![path],
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_folders() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".hidden.conf", "x/2", "x/1", "y/c.conf"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let table = [
            ("*.conf", "a.conf b.conf"),
            ("x", "x/1 x/2"),
            ("?/c.conf", "y/c.conf"),
            ("b.conf", "b.conf"),
        ];
        for (pattern, expected) in table {
            let found = files(&dir.path().join(pattern)).unwrap();
            let names: Vec<_> = found
                .iter()
                .map(|p| p.strip_prefix(dir.path()).unwrap().to_str().unwrap())
                .collect();
            assert_eq!(names.join(" "), expected, "{pattern}");
        }
        for pattern in ["none", "*.none"] {
            assert!(files(&dir.path().join(pattern)).unwrap_err().contains("IncludeOptional"));
        }
    }
}
