//! The `file` resolver: a text file with one line for each key, or a directory of such files.
//! websockify's token files (`token: host:port`) are such files too.
//!
//! Keys are looked up in what was read and never become part of a path. The files are looked at
//! again on questions that reach the resolver and read again when one has changed; no watching, so
//! that renames, network file systems and containers are no special case.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;

use super::{Query, Resolution, ResolveError, Resolver};
use crate::route::answer::Answer;

mod lines;
#[cfg(test)]
mod tests;

use lines::Lines;

/// More in all files together is an accident. Bytes.
const SIZE_MAX: u64 = 64 << 20;
/// How many bad lines are reported one by one.
const WARNINGS_MAX: usize = 20;
/// A file changed this recently may change again within its timestamps' resolution.
const SETTLED: Duration = Duration::from_secs(2);

/// `file PATH`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileConfig {
    /// The text file or directory, absolute.
    pub path: PathBuf,
}

impl FileConfig {
    /// Parses the locator; there are no options. Nothing is opened.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line.
    pub fn parse(locator: &str, options: &[(&str, &str)]) -> Result<FileConfig, String> {
        if let Some((option, _)) = options.first() {
            return Err(format!("unknown option {option:?}, use ttl, negative, stale or timeout"));
        }
        match locator.starts_with('/') {
            true => Ok(FileConfig { path: locator.into() }),
            false => Err(format!("file {locator:?} is relative, use an absolute path")),
        }
    }
}

/// A text file of keys and targets, or a directory of them.
pub struct FileResolver {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    /// One look at the files at a time. The permit goes with the blocking thread: a file system
    /// that hangs holds up one thread, and the others wait without one.
    turn: Arc<Semaphore>,
    loaded: Mutex<Loaded>,
    /// Warnings that nobody has fetched yet. A lock of its own, which is never held over I/O.
    pending: Mutex<Vec<String>>,
}

/// The files as they were last read.
#[derive(Default)]
struct Loaded {
    /// When the last look began. It serves all questions that had been asked by then.
    looked: Option<Instant>,
    /// What was read, in which version. `None`: to be read.
    versions: Option<Vec<(PathBuf, Option<Stamp>)>>,
    lines: Lines,
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
    /// A resolver whose file or directory is not opened before the first question.
    pub fn new(config: FileConfig) -> FileResolver {
        let turn = Arc::new(Semaphore::new(1));
        let (loaded, pending) = (Mutex::default(), Mutex::default());
        FileResolver { shared: Arc::new(Shared { path: config.path, turn, loaded, pending }) }
    }
}

impl Resolver for FileResolver {
    fn resolve(&self, query: Query) -> Resolution {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let asked = Instant::now();
            let stopping = || ResolveError::Failed("the runtime is stopping".into());
            let turn = shared.turn.clone().acquire_owned().await.map_err(|_| stopping())?;
            let task = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                shared.lookup(&query.key, asked)
            });
            task.await.unwrap_or_else(|_| Err(stopping()))
        })
    }

    fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.shared.pending))
    }
}

impl Shared {
    fn lookup(&self, key: &str, asked: Instant) -> Result<Option<Answer>, ResolveError> {
        let mut loaded = lock(&self.loaded);
        if loaded.looked.is_none_or(|looked| looked < asked) {
            let now = Instant::now();
            match loaded.refresh(&self.path) {
                Ok(warnings) => lock(&self.pending).extend(warnings),
                Err(e) => {
                    let path = self.path.display();
                    return Err(ResolveError::Failed(format!("cannot read {path}: {e}")));
                }
            }
            loaded.looked = Some(now);
        }
        Ok(loaded.lines.answers.get(key).cloned())
    }
}

/// A panic in between leaves nothing half-done: the versions are set last.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Loaded {
    /// Reads everything unless it is what was read last; gives the warnings that are new.
    fn refresh(&mut self, path: &Path) -> io::Result<Vec<String>> {
        let same = |(path, version): &(PathBuf, Option<Stamp>)| Stamp::at(path) == *version;
        if self.versions.as_ref().is_some_and(|versions| versions.iter().all(same)) {
            return Ok(Vec::new());
        }
        self.versions = None;
        let mut reading = Reading::default();
        match fs::metadata(path)?.is_dir() {
            true => reading.directory(path)?,
            false => reading.file(path)?,
        }
        let Reading { mut lines, versions, changing, .. } = reading;
        if lines.warnings.len() > WARNINGS_MAX {
            let more = lines.warnings.len() - WARNINGS_MAX;
            lines.warnings.truncate(WARNINGS_MAX);
            lines.warnings.push(format!("{}: and {more} more bad lines", path.display()));
        }
        let repeated = lines.warnings == self.lines.warnings;
        let news = if repeated { Vec::new() } else { lines.warnings.clone() };
        self.lines = lines;
        self.versions = (!changing).then_some(versions);
        Ok(news)
    }
}

/// Files being read.
#[derive(Default)]
struct Reading {
    lines: Lines,
    versions: Vec<(PathBuf, Option<Stamp>)>,
    /// Something of it has changed just now.
    changing: bool,
    bytes: u64,
}

impl Reading {
    /// Reads all files in the directory `path`, in the order of their names, but not those below
    /// it, nor hidden ones and editors' backups. One that cannot be read is a warning.
    fn directory(&mut self, path: &Path) -> io::Result<()> {
        self.note(path, Some(&fs::metadata(path)?));
        let mut files =
            fs::read_dir(path)?.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>()?;
        files.sort();
        for file in files {
            let name = file.file_name().unwrap_or_default().as_encoded_bytes();
            if name.starts_with(b".") || name.ends_with(b"~") {
                continue;
            }
            let metadata = fs::metadata(&file);
            if metadata.as_ref().is_ok_and(|m| !m.is_file()) {
                continue;
            }
            if let Err(e) = metadata.and_then(|_| self.file(&file)) {
                self.note(&file, fs::metadata(&file).ok().as_ref());
                self.lines.warnings.push(format!("{}: cannot be read: {e}", file.display()));
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        // A pipe would wait for a writer.
        let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("neither a regular file nor a directory"));
        }
        self.bytes += metadata.len();
        if self.bytes > SIZE_MAX {
            return Err(io::Error::other("larger than 64 MB"));
        }
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(SIZE_MAX).read_to_end(&mut bytes)?;
        self.lines.add(&bytes, path);
        self.note(path, Some(&metadata));
        Ok(())
    }

    /// Remembers in which version `path` was read; `None`: it is not there.
    fn note(&mut self, path: &Path, metadata: Option<&Metadata>) {
        let modified = metadata.and_then(|m| m.modified().ok());
        let age = modified.map(|m| SystemTime::now().duration_since(m).unwrap_or_default());
        self.changing |= age.is_some_and(|age| age <= SETTLED);
        self.versions.push((path.to_owned(), metadata.map(Stamp::of)));
    }
}

impl Stamp {
    /// Of what is at `path` now, if there is something.
    fn at(path: &Path) -> Option<Stamp> {
        fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata))
    }

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
