//! The `file` resolver: one line for each key, `key target [name=value...]`. websockify's token
//! files (`token: host:port`) are such files too.
//!
//! The file is looked at on each question that reaches the resolver and read again when it has
//! changed; no watching, so that renames, network file systems and containers are no special case.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;

use super::{Query, Resolution, ResolveError, Resolver};
use crate::route::answer::Answer;

/// A larger file is an accident. Bytes.
const FILE_MAX: u64 = 64 << 20;
/// How many bad lines are reported one by one.
const WARNINGS_MAX: usize = 20;
/// A file changed this recently may change again within its timestamps' resolution.
const SETTLED: Duration = Duration::from_secs(2);

/// A text file of keys and targets.
pub struct FileResolver {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    /// One look at the file at a time. The permit goes with the blocking thread: a file system
    /// that hangs holds up one thread, and the others wait without one.
    turn: Arc<Semaphore>,
    loaded: Mutex<Loaded>,
    /// Warnings that nobody has fetched yet. A lock of its own, which is never held over I/O.
    pending: Mutex<Vec<String>>,
}

/// The file as it was last read.
#[derive(Default)]
struct Loaded {
    /// `None`: to be read.
    stamp: Option<Stamp>,
    answers: HashMap<String, Answer>,
    /// All warnings of the last reading, so that a second one does not repeat them.
    warned: Vec<String>,
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileResolver {
    /// A resolver on the file `path`, which is not opened before the first question.
    pub fn new(path: PathBuf) -> FileResolver {
        let turn = Arc::new(Semaphore::new(1));
        let (loaded, pending) = (Mutex::default(), Mutex::default());
        FileResolver { shared: Arc::new(Shared { path, turn, loaded, pending }) }
    }
}

impl Resolver for FileResolver {
    fn resolve(&self, query: Query) -> Resolution {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let stopping = || ResolveError::Failed("the runtime is stopping".into());
            let turn = shared.turn.clone().acquire_owned().await.map_err(|_| stopping())?;
            let task = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                shared.lookup(&query.key)
            });
            task.await.unwrap_or_else(|_| Err(stopping()))
        })
    }

    fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.shared.pending))
    }
}

impl Shared {
    fn lookup(&self, key: &str) -> Result<Option<Answer>, ResolveError> {
        let mut loaded = lock(&self.loaded);
        match loaded.refresh(&self.path) {
            Ok(warnings) => lock(&self.pending).extend(warnings),
            Err(e) => {
                loaded.stamp = None;
                let path = self.path.display();
                return Err(ResolveError::Failed(format!("cannot read {path}: {e}")));
            }
        }
        Ok(loaded.answers.get(key).cloned())
    }
}

/// A panic in between leaves nothing half-done: the stamp is set last.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Loaded {
    /// Reads the file unless it is the one that was read last; gives the warnings that are new.
    fn refresh(&mut self, path: &Path) -> io::Result<Vec<String>> {
        if self.stamp.is_some() && self.stamp == Some(Stamp::of(&std::fs::metadata(path)?)) {
            return Ok(Vec::new());
        }
        // A pipe would wait for a writer.
        let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("no regular file"));
        }
        if metadata.len() > FILE_MAX {
            return Err(io::Error::other("larger than 64 MB"));
        }
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(FILE_MAX).read_to_end(&mut bytes)?;
        let (answers, warnings) = parse(&bytes, path);
        let news = if warnings == self.warned { Vec::new() } else { warnings.clone() };
        self.warned = warnings;
        self.answers = answers;
        let age = metadata.modified().ok().and_then(|m| SystemTime::now().duration_since(m).ok());
        self.stamp = age.filter(|age| *age > SETTLED).map(|_| Stamp::of(&metadata));
        Ok(news)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// All answers of a file, and what is wrong with the lines that were passed over.
fn parse(bytes: &[u8], path: &Path) -> (HashMap<String, Answer>, Vec<String>) {
    let mut answers = HashMap::new();
    let mut warnings = Vec::new();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (at, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let parsed = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned());
        let reason = match parsed.and_then(parse_line) {
            Ok(None) => continue,
            Ok(Some((key, answer))) => match answers.entry(key) {
                Entry::Vacant(slot) => {
                    slot.insert(answer);
                    continue;
                }
                Entry::Occupied(slot) => format!("key {:?} is there already", slot.key()),
            },
            Err(reason) => reason,
        };
        warnings.push(format!("{}:{}: {reason}", path.display(), at + 1));
    }
    if warnings.len() > WARNINGS_MAX {
        let more = warnings.len() - WARNINGS_MAX;
        warnings.truncate(WARNINGS_MAX);
        warnings.push(format!("{}: and {more} more bad lines", path.display()));
    }
    (answers, warnings)
}

/// One line; `None` if it is blank or a comment.
fn parse_line(line: &str) -> Result<Option<(String, Answer)>, String> {
    let words = words(line)?;
    let Some((key, rest)) = words.split_first() else { return Ok(None) };
    let key = key.strip_suffix(':').unwrap_or(key);
    let Some((target, options)) = rest.split_first() else {
        return Err("no target".into());
    };
    if key.is_empty() {
        return Err("no key".into());
    }
    // websockify: "token: unix_socket:/path".
    let target = match target.strip_prefix("unix_socket:") {
        Some(path) => format!("ws+unix:{path}"),
        None => target.clone(),
    };
    let mut fields = vec![("target", target)];
    for option in options {
        let (name, value) = option.split_once('=').ok_or("an option without =")?;
        if !FIELDS.contains(&name) {
            return Err(format!("unknown option {name:?}"));
        }
        fields.push((name, value.to_owned()));
    }
    match Answer::from_fields(fields, false) {
        Ok(Some(answer)) => Ok(Some((key.to_owned(), answer))),
        Ok(None) => Err("no target".into()),
        Err(ResolveError::Malformed(reason)) => Err(reason),
        Err(e) => Err(e.to_string()),
    }
}

/// What may follow the target.
const FIELDS: [&str; 10] =
    ["scheme", "path", "owner", "state", "expires", "username", "password", "pin", "headers", "id"];

/// Splits at blanks. Double quotes hold blanks together (`\"` and `\\` inside them); a word that
/// begins with `#` begins a comment.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => match chars.next() {
                Some(c @ ('"' | '\\')) => word.get_or_insert_default().push(c),
                Some(c) => word.get_or_insert_default().extend(['\\', c]),
                None => {}
            },
            '#' if word.is_none() => break,
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    if quoted {
        return Err("quote without end".into());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# desktops
alice   10.0.0.5:6901 owner=alice@example.org  # her own
bob     wss://10.0.0.6/vnc password="two words" headers="X-A: \"b\""
tok1: 10.0.0.7:5900
tok2: unix_socket:/run/tok2.sock
"a key" [::1]:5901

nobody
bad     10.0.0.5
worse   10.0.0.5:1 colour=red
worst   10.0.0.5:1 owner
open    10.0.0.5:1 id="x
alice   10.0.0.9:6901
"#;

    fn query(key: &str) -> Query {
        Query {
            key: key.into(),
            user: None,
            host: String::new(),
            path: String::new(),
            client: String::new(),
        }
    }

    async fn target(resolver: &FileResolver, key: &str) -> Result<Option<String>, ResolveError> {
        let answer = resolver.resolve(query(key)).await?;
        Ok(answer.map(|a| a.target.unwrap().to_string()))
    }

    #[test]
    fn lines() {
        let (answers, warnings) = parse(TEXT.as_bytes(), Path::new("/d"));
        let target = |key: &str| answers[key].target.as_ref().unwrap().to_string();
        assert_eq!(answers.len(), 5);
        assert_eq!(target("alice"), "ws://10.0.0.5:6901");
        assert_eq!(answers["alice"].owner.as_deref(), Some("alice@example.org"));
        assert_eq!(target("bob"), "wss://10.0.0.6:443/vnc");
        assert_eq!(answers["bob"].password.as_deref(), Some("two words"));
        assert_eq!(answers["bob"].headers, [("X-A".to_owned(), "\"b\"".to_owned())]);
        assert_eq!(target("tok1"), "ws://10.0.0.7:5900");
        assert_eq!(target("tok2"), "ws+unix:/run/tok2.sock");
        assert_eq!(target("a key"), "ws://[::1]:5901");
        assert_eq!(
            warnings,
            [
                "/d:9: no target",
                "/d:10: target \"10.0.0.5\": no port",
                "/d:11: unknown option \"colour\"",
                "/d:12: an option without =",
                "/d:13: quote without end",
                "/d:14: key \"alice\" is there already",
            ]
        );
    }

    #[test]
    fn odd_bytes() {
        let (answers, warnings) =
            parse(b"\xef\xbb\xbfa h:1\r\n\xff h:1\nb h:2\0\nc h:3", "/d".as_ref());
        let mut keys: Vec<_> = answers.keys().collect();
        keys.sort();
        assert_eq!(keys, ["a", "c"]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        let (_, warnings) = parse("x\n".repeat(30).as_bytes(), "/d".as_ref());
        assert_eq!(warnings.last().unwrap(), "/d: and 10 more bad lines");
    }

    #[tokio::test]
    async fn a_pipe_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let resolver = FileResolver::new(path);
        assert!(matches!(target(&resolver, "a").await, Err(ResolveError::Failed(_))));
    }

    #[tokio::test]
    async fn a_changed_file_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("desktops");
        let resolver = FileResolver::new(path.clone());

        let error = target(&resolver, "a").await.unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("cannot read {}", path.display())),
            "{error}"
        );

        std::fs::write(&path, "a h:1\nbad\n").unwrap();
        assert_eq!(target(&resolver, "a").await, Ok(Some("ws://h:1".into())));
        assert_eq!(target(&resolver, "b").await, Ok(None));
        assert_eq!(resolver.warnings().len(), 1);
        assert_eq!(resolver.warnings().len(), 0);

        // Same size, written in place, at once: within the timestamp's resolution.
        std::fs::write(&path, "a h:2\nbad\n").unwrap();
        assert_eq!(target(&resolver, "a").await, Ok(Some("ws://h:2".into())));
        assert_eq!(resolver.warnings().len(), 0);

        // An old file is not read twice, and one that is renamed over it is seen.
        let old = SystemTime::now() - Duration::from_secs(60);
        File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
        assert_eq!(target(&resolver, "a").await, Ok(Some("ws://h:2".into())));
        assert!(lock(&resolver.shared.loaded).stamp.is_some());
        let new = dir.path().join("new");
        std::fs::write(&new, "a h:3\nbad\n").unwrap();
        File::options().append(true).open(&new).unwrap().set_modified(old).unwrap();
        std::fs::rename(&new, &path).unwrap();
        assert_eq!(target(&resolver, "a").await, Ok(Some("ws://h:3".into())));

        std::fs::remove_file(&path).unwrap();
        assert!(matches!(target(&resolver, "a").await, Err(ResolveError::Failed(_))));
    }
}
