//! Secrets that stand in files of their own. They are read while httpd reads its configuration, as
//! root, so that nobody else needs to be able to read them.

/// The longest secret that makes sense, in bytes.
const LONGEST: usize = 8 * 1024;

/// Reads the one line of the file `path`. `option` is what the error begins with.
///
/// # Errors
/// A relative path, a file that cannot be read, or one that does not hold one line of text, as one
/// line that shows nothing of the secret.
pub fn read(option: &str, path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err(format!("{option}={path:?} is relative, use an absolute path"));
    }
    let text = std::fs::read(path).map_err(|e| format!("{option}: cannot read {path}: {e}"))?;
    let text = String::from_utf8(text).map_err(|_| format!("{option}: {path} is not UTF-8"))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || secret.len() > LONGEST || secret.chars().any(char::is_control) {
        return Err(format!("{option}: {path} does not hold one line, write the secret alone"));
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let path = path.to_str().unwrap();
        let table: [(&[u8], Option<&str>); 8] = [
            (b"hunter2\n", Some("hunter2")),
            (b"hunter2\r\n", Some("hunter2")),
            (" two words ü".as_bytes(), Some(" two words ü")),
            (b"", None),
            (b"\n", None),
            (b"hunter2\nhunter3", None),
            (b"hunter2\0", None),
            (b"hunter2\xff", None),
        ];
        for (text, expected) in table {
            std::fs::write(path, text).unwrap();
            let got = read("password", path);
            assert_eq!(got.as_deref().ok(), expected, "{text:?}");
            assert!(got.is_ok() || !got.unwrap_err().contains("hunter2"), "{text:?}");
        }
        assert!(read("password", "secret").unwrap_err().contains("use an absolute path"));
        assert!(read("password", "/no/such").unwrap_err().starts_with("password: cannot read"));
    }
}
