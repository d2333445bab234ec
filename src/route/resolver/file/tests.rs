//! Real files and directories that change.

use super::*;

fn resolver(path: &Path) -> FileResolver {
    FileResolver::new(FileConfig::parse(path.to_str().unwrap(), &[]).unwrap())
}

async fn target(resolver: &FileResolver, key: &str) -> Result<Option<String>, ResolveError> {
    let answer = resolver.resolve(Query { key: key.into(), ..Query::default() }).await?;
    Ok(answer.map(|a| a.target.unwrap().to_string()))
}

/// Makes a file or directory look as if nobody had touched it for a minute.
fn settle(path: &Path) {
    let old = SystemTime::now() - Duration::from_secs(60);
    File::open(path).unwrap().set_modified(old).unwrap();
}

fn is_settled(resolver: &FileResolver) -> bool {
    lock(&resolver.shared.loaded).versions.is_some()
}

fn some(text: &str) -> Result<Option<String>, ResolveError> {
    Ok(Some(text.into()))
}

#[tokio::test]
async fn a_pipe_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let error = target(&resolver(&path), "a").await.unwrap_err().to_string();
    assert!(error.ends_with("neither a regular file nor a directory"), "{error}");
    // In a directory it is passed over.
    std::fs::write(directory.path().join("tokens"), "a: h:1").unwrap();
    assert_eq!(target(&resolver(directory.path()), "a").await, some("ws://h:1"));
}

#[tokio::test]
async fn a_changed_file_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("desktops");
    let resolver = resolver(&path);

    let error = target(&resolver, "a").await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot read {}", path.display())), "{error}");

    std::fs::write(&path, "a h:1\nbad\n").unwrap();
    assert_eq!(target(&resolver, "a").await, some("ws://h:1"));
    assert_eq!(target(&resolver, "b").await, Ok(None));
    assert_eq!(resolver.warnings().len(), 1);
    assert_eq!(resolver.warnings().len(), 0);

    // Same size, written in place, at once: within the timestamp's resolution.
    std::fs::write(&path, "a h:2\nbad\n").unwrap();
    assert_eq!(target(&resolver, "a").await, some("ws://h:2"));
    assert_eq!(resolver.warnings().len(), 0);

    // An old file is not read twice, and one that is renamed over it is seen.
    settle(&path);
    assert_eq!(target(&resolver, "a").await, some("ws://h:2"));
    assert!(is_settled(&resolver));
    let new = dir.path().join("new");
    std::fs::write(&new, "a h:3\nbad\n").unwrap();
    settle(&new);
    std::fs::rename(&new, &path).unwrap();
    assert_eq!(target(&resolver, "a").await, some("ws://h:3"));

    std::fs::remove_file(&path).unwrap();
    assert!(matches!(target(&resolver, "a").await, Err(ResolveError::Failed(_))));
    // A directory takes its place.
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("tokens"), "a h:4").unwrap();
    assert_eq!(target(&resolver, "a").await, some("ws://h:4"));
}

#[tokio::test]
async fn too_many_bad_lines_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("desktops");
    std::fs::write(&path, "x\n".repeat(30)).unwrap();
    let resolver = resolver(&path);
    assert_eq!(target(&resolver, "x").await, Ok(None));
    let warnings = resolver.warnings();
    assert_eq!(warnings.len(), 21);
    assert!(warnings[20].ends_with("desktops: and 10 more bad lines"), "{}", warnings[20]);
}

#[tokio::test]
async fn all_files_of_a_directory_count() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("1.cfg", "alice: 10.0.0.5:5900\n# comment\ncarl: [::1]:5900\n");
    write("2.cfg", "bob: unix_socket:/run/bob.sock\nalice: 10.0.0.6:5900\n");
    write(".hidden.swp", "eve: 10.0.0.7:5900");
    write("1.cfg~", "eve: 10.0.0.7:5900");
    std::fs::create_dir(dir.path().join("below")).unwrap();
    write("below/3.cfg", "eve: 10.0.0.7:5900");
    write("dave", "dave: 10.0.0.8:5900");
    let resolver = resolver(dir.path());

    let table = [
        ("alice", Some("ws://10.0.0.5:5900")),
        ("bob", Some("ws+unix:/run/bob.sock")),
        ("carl", Some("ws://[::1]:5900")),
        ("dave", Some("ws://10.0.0.8:5900")),
        ("eve", None),
        ("1.cfg", None),
        ("below", None),
        ("below/3.cfg", None),
        ("../1.cfg", None),
        ("..", None),
        ("/etc/passwd", None),
        ("\0", None),
    ];
    for (key, expected) in table {
        assert_eq!(target(&resolver, key).await, Ok(expected.map(Into::into)), "{key:?}");
    }
    let warnings = resolver.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].ends_with("2.cfg:2: key \"alice\" is there already"), "{warnings:?}");
}

#[tokio::test]
async fn a_changed_directory_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let quiet = |name: &str, text: &str| {
        std::fs::write(file(name), text).unwrap();
        settle(&file(name));
        settle(dir.path());
    };
    let resolver = resolver(dir.path());
    assert_eq!(target(&resolver, "a").await, Ok(None));

    quiet("1", "a h:1");
    assert_eq!(target(&resolver, "a").await, some("ws://h:1"));
    assert!(is_settled(&resolver));
    // A file is changed in place, added, removed, renamed.
    quiet("1", "a h:22");
    assert_eq!(target(&resolver, "a").await, some("ws://h:22"));
    quiet("2", "b h:2");
    assert_eq!(target(&resolver, "b").await, some("ws://h:2"));
    std::fs::remove_file(file("2")).unwrap();
    settle(dir.path());
    assert_eq!(target(&resolver, "b").await, Ok(None));
    std::fs::rename(file("1"), file(".1")).unwrap();
    settle(dir.path());
    assert_eq!(target(&resolver, "a").await, Ok(None));

    // A link to nothing, and what it leads to afterwards: the directory itself stays as it is.
    let elsewhere = tempfile::tempdir().unwrap();
    let real = elsewhere.path().join("real");
    std::os::unix::fs::symlink(&real, file("link")).unwrap();
    settle(dir.path());
    assert_eq!(target(&resolver, "c").await, Ok(None));
    assert!(is_settled(&resolver));
    assert!(resolver.warnings().iter().any(|w| w.contains("link: cannot be read")));
    std::fs::write(&real, "c h:3").unwrap();
    assert_eq!(target(&resolver, "c").await, some("ws://h:3"));

    drop(dir);
    assert!(matches!(target(&resolver, "c").await, Err(ResolveError::Failed(_))));
}

#[tokio::test]
async fn many_questions_share_a_look() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..1000 {
        std::fs::write(dir.path().join(format!("{n}")), format!("k{n}: h:{}", n + 1)).unwrap();
    }
    let resolver = Arc::new(resolver(dir.path()));
    let began = Instant::now();
    assert_eq!(target(&resolver, "k0").await, some("ws://h:1"));
    let one = began.elapsed();
    let began = Instant::now();
    let ask = |n: usize| {
        let resolver = Arc::clone(&resolver);
        tokio::spawn(async move { target(&resolver, &format!("k{n}")).await })
    };
    let askers: Vec<_> = (0..1000).map(ask).collect();
    for (n, asker) in askers.into_iter().enumerate() {
        assert_eq!(asker.await.unwrap(), some(&format!("ws://h:{}", n + 1)));
    }
    // A thousand looks would take a thousand times as long.
    assert!(began.elapsed() < one * 200, "{:?}, one: {one:?}", began.elapsed());
}
